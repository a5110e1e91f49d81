"""What runs inside of Airflow: the loader of plans, timetables, operators and callbacks."""

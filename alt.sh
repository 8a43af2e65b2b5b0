python -P /work/tmp/C/alt.py

"""Documents out of records: every format in which a study leaves. Pure: reads no database, asks no clock."""

reco_test(test_records SOURCES test_records.c records_suite.c records_mutants.c LABELS contract)

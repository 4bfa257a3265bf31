# json.jq: the report without what only text and page need. See report.jq for its form.
del(.shift, .begin, .epoch, .finish, .findings[].occurrences, .crashes[].process)

"""Asks DuckDB or ClickHouse who used which keys, over gzipped CloudTrail files: `peers.py ENGINE FORM FOLDER KEY...`.

Prints one JSON object: seconds on the clock and of all cores, peak memory, and the rows.
"""

import json
import resource
import sys
import time

engine, form, folder, keys = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
wanted = ", ".join(f"'{key}'" for key in keys)


def duckdb_query():
    import duckdb

    request = "STRUCT(encryptionContext JSON)" if form == "typed" else "JSON"
    context = "r.requestParameters.encryptionContext" if form == "typed" else "r.requestParameters->'encryptionContext'"
    record = f"""STRUCT(eventSource VARCHAR, eventName VARCHAR, eventTime TIMESTAMP, eventID VARCHAR, errorCode VARCHAR,
        userIdentity STRUCT(arn VARCHAR, sessionContext STRUCT(sessionIssuer STRUCT(arn VARCHAR))),
        resources STRUCT(ARN VARCHAR)[], requestParameters {request})[]"""
    sql = f"""
        SELECT r.resources[1].ARN AS key, coalesce(r.userIdentity.sessionContext.sessionIssuer.arn, r.userIdentity.arn) AS who,
            r.eventName, r.errorCode, coalesce(CAST({context} AS VARCHAR), '') AS context, count(DISTINCT r.eventID),
            CAST(epoch(min(r.eventTime)) AS BIGINT), CAST(epoch(max(r.eventTime)) AS BIGINT)
        FROM (SELECT unnest(Records) AS r FROM read_json('{folder}/**/*.json.gz', columns = {{Records: '{record}'}},
            maximum_object_size = 67108864))
        WHERE r.eventSource = 'kms.amazonaws.com' AND r.resources[1].ARN IN ({wanted})
        GROUP BY ALL"""
    database = duckdb.connect()
    return lambda: database.execute(sql).fetchall()


def chdb_query():
    import chdb

    if form == "typed":
        record = """Tuple(eventSource String, eventName String, eventTime String, eventID String, errorCode Nullable(String),
            userIdentity Tuple(arn String, sessionContext Tuple(sessionIssuer Tuple(arn String))),
            resources Array(Tuple(ARN String)), requestParameters String)"""
        source = f"SELECT arrayJoin(Records) AS r FROM file('{folder}/**/*.json.gz', 'JSONEachRow', 'Records Array({record})')"
        key, name, event, error = "r.resources[1].ARN", "r.eventName", "r.eventID", "r.errorCode"
        issuer, arn = "r.userIdentity.sessionContext.sessionIssuer.arn", "r.userIdentity.arn"
        context, at = "JSONExtractRaw(r.requestParameters, 'encryptionContext')", "r.eventTime"
        service = "r.eventSource"
    else:
        source = f"SELECT arrayJoin(JSONExtractArrayRaw(json, 'Records')) AS r FROM file('{folder}/**/*.json.gz', 'JSONAsString', 'json String')"
        key, name = "JSONExtractString(r, 'resources', 1, 'ARN')", "JSONExtractString(r, 'eventName')"
        event, error = "JSONExtractString(r, 'eventID')", "nullIf(JSONExtractString(r, 'errorCode'), '')"
        issuer = "JSONExtractString(r, 'userIdentity', 'sessionContext', 'sessionIssuer', 'arn')"
        arn, at = "JSONExtractString(r, 'userIdentity', 'arn')", "JSONExtractString(r, 'eventTime')"
        context = "JSONExtractRaw(r, 'requestParameters', 'encryptionContext')"
        service = "JSONExtractString(r, 'eventSource')"
    sql = f"""
        SELECT {key} AS key, if({issuer} = '', {arn}, {issuer}) AS who, {name} AS name, {error} AS error, {context} AS context,
            uniqExact({event}), toInt64(toUnixTimestamp(parseDateTimeBestEffort(min({at})))),
            toInt64(toUnixTimestamp(parseDateTimeBestEffort(max({at}))))
        FROM ({source}) WHERE {service} = 'kms.amazonaws.com' AND key IN ({wanted})
        GROUP BY key, who, name, error, context
        SETTINGS input_format_json_read_objects_as_strings = 1, input_format_null_as_default = 1,
            output_format_json_quote_64bit_integers = 0"""

    def query():
        text = str(chdb.query(sql, "JSONCompactEachRow"))
        return [json.loads(line) for line in text.splitlines() if line]

    return query


query = {"duckdb": duckdb_query, "chdb": chdb_query}[engine]()


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


cpu_before, start = cpu(), time.perf_counter()
rows = query()
wall, used = time.perf_counter() - start, cpu() - cpu_before
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"wall": wall, "cpu": used, "peak_kib": peak, "rows": rows}))

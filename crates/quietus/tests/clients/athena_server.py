"""Stands in for S3 and Athena: moto, with the queries run by DuckDB over the same files.

athena_server.py FOLDER [MORE]   makes log files in FOLDER, puts them into the bucket `logs`, and serves until it is killed.
MORE is a folder of further log files, which are put into FOLDER too.

Athena's SQL is transpiled to DuckDB's by sqlglot. What the input format and the SerDe of AWS's table do to a record is done
here by hand, as the columns of the CREATE TABLE statement say: names without regard to case, nested values as JSON text.
"""

import gzip
import json
import random
import re
import sys
import tempfile
from pathlib import Path

import boto3
import duckdb
import sqlglot
from moto.athena import models, responses
from moto.server import ThreadedMotoServer

ACCOUNTS = ["111122223333", "444455556666"]
REGIONS = ["eu-west-1", "us-east-1"]
DAYS = ["2026/01/01", "2026/01/02", "2026/02/03"]
IDS = [f"{n}234abcd-12ab-34cd-56ef-1234567890ab" for n in range(1, 5)]
PAGE_ROWS = 7


def key(account, region, choose):
    return f"arn:aws:kms:{region}:{account}:key/{choose.choice(IDS)}"


def identity(account, choose):
    role = choose.choice(["app", "batch"])
    session = f"i-{choose.randrange(1000)}"
    return choose.choice([
        {"type": "IAMUser", "principalId": "AIDA1", "arn": f"arn:aws:iam::{account}:user/ann", "accountId": account, "userName": "ann"},
        {"type": "AssumedRole", "principalId": f"AROA1:{session}", "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
         "accountId": account, "sessionContext": {"sessionIssuer": {"type": "Role", "arn": f"arn:aws:iam::{account}:role/{role}"},
                                                  "attributes": {"mfaAuthenticated": "false"}}},
        {"type": "AssumedRole", "principalId": f"AROA2:{session}", "arn": f"arn:aws:sts::{account}:assumed-role/bare/{session}"},
        {"type": "AssumedRole", "arn": f"arn:aws:sts::{account}:assumed-role/bare/{session}", "invokedBy": "s3.amazonaws.com",
         "sessionContext": {"sessionIssuer": {}}},
        {"type": "AWSAccount", "principalId": f"AROAFAR:{session}", "accountId": "999988887777"},
        {"type": "AWSService", "invokedBy": "logs.amazonaws.com"},
        {"type": "Root", "arn": "", "principalId": "", "accountId": account},
        None,
    ])


def event(number, account, region, day, choose):
    name = choose.choice(["Decrypt", "Decrypt", "GenerateDataKey", "Encrypt", "ReEncrypt", "DescribeKey", "CreateGrant", "CreateAlias",
                          "CreateKey", "DeleteKey", "ScheduleKeyDeletion", "ListKeys", "SomethingNew"])
    arn = key(account, region, choose)
    context = choose.choice([
        None, {}, {"aws:s3:arn": "arn:aws:s3:::b/x"}, {"app": "say \"hi\", it's\t\u00fc\u2028"}, {"a": 1, "b": {"c": None}}, ["odd"],
        {"quietus:probe": "1"}, {"SecretARN": f"arn:aws:secretsmanager:{region}:{account}:secret:db", "SecretVersionId": "v1"},
        {"aws-crypto-public-key": f"k{number}"}, {"x": "\u001f|\u001e,"},
    ])
    named = choose.choice([arn, arn.rsplit("/")[-1], "alias/app", f"arn:aws:kms:{region}:{account}:alias/app", 7, None])
    request = {"keyId": named, "encryptionContext": context, "encryptionAlgorithm": "SYMMETRIC_DEFAULT", "number": number}
    if name == "ReEncrypt":
        request = {"sourceKeyId": named, "destinationKeyId": key(account, region, choose), "sourceEncryptionContext": context,
                   "destinationEncryptionContext": {"to": "there"}}
    if name == "CreateGrant":
        request["constraints"] = {"encryptionContextSubset": {"grant": "ed"}}
    if name == "CreateAlias":
        request = {"aliasName": "alias/app", "targetKeyId": arn}
    record = {
        "eventVersion": "1.11", "eventSource": "kms.amazonaws.com", "eventName": name, "awsRegion": region,
        "eventTime": f"{day.replace('/', '-')}T{choose.randrange(24):02}:{choose.randrange(60):02}:{choose.randrange(60):02}Z",
        "sourceIPAddress": choose.choice(["10.0.0.1", "192.0.2.7", "AWS Internal", "rds.amazonaws.com"]),
        "userAgent": "kms.amazonaws.com", "requestParameters": choose.choice([request, request, request, None]),
        "responseElements": choose.choice([None, {"keyId": arn}, {"keyMetadata": {"arn": arn, "keyId": "x"}}]) if name.startswith("Create") else None,
        "eventID": f"{number:08x}-0000-4000-8000-{choose.randrange(10**12):012}", "requestID": str(number),
        "readOnly": choose.choice([True, False]), "eventType": "AwsApiCall", "recipientAccountId": account,
        "resources": choose.choice([
            [{"accountId": account, "type": "AWS::KMS::Key", "ARN": arn}], [{"ARN": arn}], None, [],
            [{"type": "AWS::KMS::Alias", "ARN": f"arn:aws:kms:{region}:{account}:alias/app"}, {"type": "AWS::KMS::Key", "ARN": arn}],
            [{"type": "AWS::KMS::Key", "ARN": arn}, {"type": "AWS::KMS::Key", "ARN": key(account, region, choose)}],
        ]),
    }
    user = identity(account, choose)
    if user is not None:
        record["userIdentity"] = user
    if name == "DeleteKey":
        record["serviceEventDetails"] = {"keyId": arn.rsplit("/")[-1]}
    code = choose.choice([None, None, None, "DisabledException", "AccessDenied", "NotFoundException", "ThrottlingException"])
    if code:
        record["errorCode"] = code
        record["errorMessage"] = choose.choice([f"{arn} is disabled.", f"{arn} is pending deletion.", "no", f"no access to {arn} for i-{number}"])
    if choose.randrange(20) == 0:
        del record["eventID"]
    if choose.randrange(4) == 0:
        record = {"eventVersion": "1.11", "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventTime": record["eventTime"],
                  "userAgent": "kms.amazonaws.com", "requestParameters": {"bucketName": arn}, "eventID": record.get("eventID")}
    return record


def make(folder):
    choose = random.Random(4)
    number, earlier = 0, []
    for account in ACCOUNTS:
        for region in REGIONS:
            for day in DAYS:
                where = folder / "AWSLogs" / account / "CloudTrail" / region / day
                where.mkdir(parents=True)
                for file in range(2):
                    records = []
                    for _ in range(60):
                        number += 1
                        records.append(event(number, account, region, day, choose))
                    # Files are delivered twice, and single events, too.
                    records += choose.sample(records, 5) + choose.sample(earlier, min(5, len(earlier)))
                    earlier = [record for record in records if record.get("eventID")]
                    stamp = day.replace("/", "")
                    name = f"{account}_CloudTrail_{region}_{stamp}T0{file}00Z_{number}.json.gz"
                    (where / name).write_bytes(gzip.compress(json.dumps({"Records": records}).encode()))


def documents(more):
    """The records of every log file in a folder, by day."""
    days = {}
    for path in sorted(path for path in more.rglob("*") if path.suffix in (".json", ".gz")):
        try:
            raw = path.read_bytes()
            records = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)["Records"]
            for record in records:
                days.setdefault(record["eventTime"][:10].replace("-", "/"), []).append(record)
        except (ValueError, KeyError, TypeError, OSError, EOFError):
            continue
    return days


def add(folder, more):
    for day, records in documents(more).items():
        where = folder / "AWSLogs" / ACCOUNTS[0] / "CloudTrail" / "eu-west-1" / day
        where.mkdir(parents=True, exist_ok=True)
        (where / "more.json.gz").write_bytes(gzip.compress(json.dumps({"Records": records}).encode(), mtime=0))


def hive_type(text, at=0):
    """Reads a type of Hive: a tree, and the place behind it."""
    word = re.compile(r"\s*(\w+)").match(text, at)
    name, at = word[1].lower(), word.end()
    if name == "array":
        inner, at = hive_type(text, text.index("<", at) + 1)
        return ("array", inner), text.index(">", at) + 1
    if name == "struct":
        members, at = {}, text.index("<", at) + 1
        while text[at - 1] != ">":
            member = re.compile(r"\s*(\w+)\s*:").match(text, at)
            members[member[1]], at = hive_type(text, member.end())
            at = re.compile(r"\s*[,>]").match(text, at).end()
        return ("struct", members), at
    assert name == "string", name
    return "string", at


def duck_type(kind):
    if kind == "string":
        return "VARCHAR"
    if kind[0] == "array":
        return duck_type(kind[1]) + "[]"
    return "STRUCT(" + ", ".join(f'"{name}" {duck_type(inner)}' for name, inner in kind[1].items()) + ")"


def held(value, kind):
    """A value of a record as a column of this type holds it."""
    if value is None:
        return None
    if kind == "string":
        return value if isinstance(value, str) else json.dumps(value)
    if kind[0] == "array":
        return [held(item, kind[1]) for item in value]
    members = {name.lower(): item for name, item in value.items()}
    return {name: held(members.get(name), inner) for name, inner in kind[1].items()}


class Lake:
    """The tables, and what their files hold."""

    def __init__(self, folder):
        self.folder = folder
        self.tables = {}
        self.answers = {}
        self.troubles = {}

    def create(self, statement):
        name = re.search(r"IF NOT EXISTS `(\w+)`\.`(\w+)`", statement).groups()
        if name in self.tables:
            return
        body = statement[statement.index("(") + 1:statement.index("\nPARTITIONED BY")].rstrip().rstrip(")")
        columns, at = {}, 0
        while column := re.compile(r"[\s,]*(\w+)\s").match(body, at):
            columns[column[1]], at = hive_type(body, column.end())
        self.tables[name] = (columns, dict(re.findall(r"'([\w.]+)'='([^']*)'", statement)))

    def rows(self, columns, properties):
        template = properties["storage.location.template"].removeprefix("s3://logs/")
        pattern = re.escape(template).replace(r"\$\{account\}", r"(\d+)").replace(r"\$\{region\}", r"([a-z0-9-]+)")
        pattern = re.compile(pattern.replace(r"\$\{timestamp\}", r"(\d{4}/\d\d/\d\d)") + "/[^/]+$")
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            found = pattern.match(path.relative_to(self.folder).as_posix())
            if not found or found[1] not in properties["projection.account.values"].split(","):
                continue
            if found[2] not in properties["projection.region.values"].split(","):
                continue
            for record in json.loads(gzip.decompress(path.read_bytes()))["Records"]:
                members = {name.lower(): value for name, value in record.items()}
                row = {name: held(members.get(name), kind) for name, kind in columns.items()}
                yield row | {"account": found[1], "region": found[2], "timestamp": found[3], "$path": str(path)}

    def select(self, query):
        database, table = re.search(r'FROM "(\w+)"\."(\w+)"', query).groups()
        if (database, table) not in self.tables or table == "bad_data":
            raise LookupError(f"HIVE_BAD_DATA: {table}")
        columns, properties = self.tables[database, table]
        connection = duckdb.connect()
        kinds = {name: duck_type(kind) for name, kind in columns.items()}
        kinds |= {"account": "VARCHAR", "region": "VARCHAR", "timestamp": "VARCHAR", "$path": "VARCHAR"}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as lines:
            for row in self.rows(columns, properties):
                lines.write(json.dumps(row) + "\n")
            lines.flush()
            connection.execute(f'CREATE SCHEMA "{database}"')
            of = ", ".join("'" + name + "': '" + kind + "'" for name, kind in kinds.items())
            connection.execute(
                f"""CREATE TABLE "{database}"."{table}" AS
                SELECT * FROM read_json('{lines.name}', format='newline_delimited', columns={{{of}}})"""
            )
        answer = connection.execute(sqlglot.transpile(query, read="athena", write="duckdb")[0])
        header = [column[0] for column in answer.description]
        return [header] + [[None if value is None else str(value) for value in row] for row in answer.fetchall()]

    def run(self, execution, statement):
        try:
            if statement.startswith("CREATE EXTERNAL TABLE"):
                self.create(statement)
            else:
                self.answers[execution] = self.select(statement)
        except LookupError as why:
            self.troubles[execution] = str(why.args[0])


def stand_in(lake):
    """Teaches moto to run queries, to fail, to answer in pages, and to say what it has read."""
    start, status = models.AthenaBackend.start_query_execution, responses.AthenaResponse.get_query_execution

    def started(self, query, *args, **kwargs):
        execution = start(self, query, *args, **kwargs)
        lake.run(execution, query)
        return execution

    def told(self):
        answer = json.loads(status(self))
        execution = answer["QueryExecution"]
        execution["Statistics"]["DataScannedInBytes"] = 12345
        if why := lake.troubles.get(execution["QueryExecutionId"]):
            execution["Status"] |= {"State": "FAILED", "StateChangeReason": why}
        return json.dumps(answer)

    def results(self):
        rows = lake.answers.get(self._get_param("QueryExecutionId"), [])
        begin = int(self._get_param("NextToken") or 0)
        page = [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in rows[begin:begin + PAGE_ROWS]]
        answer = {"ResultSet": {"Rows": page, "ResultSetMetadata": {"ColumnInfo": []}}}
        if begin + PAGE_ROWS < len(rows):
            answer["NextToken"] = str(begin + PAGE_ROWS)
        return json.dumps(answer)

    models.AthenaBackend.start_query_execution = started
    responses.AthenaResponse.get_query_execution = told
    responses.AthenaResponse.get_query_results = results


def main():
    folder = Path(sys.argv[1])
    make(folder)
    if len(sys.argv) > 2:
        add(folder, Path(sys.argv[2]))
    stand_in(Lake(folder))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    s3.create_bucket(Bucket="logs")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        s3.upload_file(str(path), "logs", path.relative_to(folder).as_posix())
    print(endpoint, flush=True)
    # Until the one who started this goes away, or ends it.
    sys.stdin.read()


main()

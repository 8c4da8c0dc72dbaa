"""AWS's services as moto plays them, on a free port, with one bucket that holds what a folder holds.

usage: moto_world.py BUCKET FOLDER. Prints the endpoint when all is there, and ends when its standard input does.
"""

import logging
import pathlib
import sys

import boto3
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
bucket, folder = sys.argv[1], pathlib.Path(sys.argv[2])
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://{host}:{port}"
s3 = boto3.client(
    "s3", endpoint_url=endpoint, region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
)
s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
for path in sorted(folder.rglob("*")):
    if path.is_file():
        s3.put_object(Bucket=bucket, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())
print(endpoint, flush=True)
sys.stdin.read()
server.stop()

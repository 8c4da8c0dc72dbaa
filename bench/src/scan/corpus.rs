//! CloudTrail files that were never delivered: a deterministic generator, and what there is to find in its files.
//!
//! The same [`Shape`] gives the same bytes. Records have AWS's members in AWS's order, about 1.4 KB each, and pack about 12:1, as
//! the management events of a busy account do. One in five is of KMS, each of one of ten keys, most with an encryption context;
//! some mention KMS and are not of it; one in a hundred is delivered a second time, in the next file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use libdeflater::{CompressionLvl, Compressor};

/// How many keys there are.
pub const KEYS: usize = 10;

/// Out of a hundred records, those of KMS.
const KMS_PERCENT: u64 = 20;

/// One in so many events is delivered again.
const AGAIN: u64 = 100;

/// How much to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Where chance begins.
    pub seed: u64,
    /// Files.
    pub files: usize,
    /// First deliveries in each.
    pub records: usize,
}

/// key, principal, operation, error code, encryption context as the record spells it
pub type Identity = (String, String, String, Option<String>, String);

/// What there is to find.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Events of KMS, each once: how many, and the first and last second since 1970.
    pub rows: BTreeMap<Identity, (u64, i64, i64)>,
    /// Records of any service, second deliveries too.
    pub records: u64,
    /// Second deliveries of events of KMS.
    pub duplicates: u64,
    /// Bytes of JSON.
    pub bytes: u64,
    /// Bytes on disk.
    pub stored_bytes: u64,
}

/// The ARN of a key.
pub fn key_arn(number: usize) -> String {
    let place = &PLACES[number % PLACES.len()];
    let mut chance = Chance(0x6b65_7973 ^ number as u64);
    format!("arn:aws:kms:{}:{}:key/{}", place.region, place.account, chance.uuid())
}

/// Makes the files under `folder`, in CloudTrail's layout.
///
/// # Errors
/// Where the disk refuses.
pub fn write(folder: &Path, shape: Shape) -> Result<Truth> {
    let mut chance = Chance(shape.seed);
    let mut truth = Truth::default();
    let mut compressor = Compressor::new(CompressionLvl::new(6).map_err(|_| anyhow::anyhow!("there is no level 6"))?);
    let mut packed = Vec::new();
    let mut again: Vec<Made> = Vec::new();
    for number in 0..shape.files {
        let place = &PLACES[number % PLACES.len()];
        let from = START + number as i64 / PLACES.len() as i64 * FILE_SECONDS;
        let mut records = std::mem::take(&mut again);
        truth.duplicates += records.iter().filter(|made| made.row.is_some()).count() as u64;
        for at in 0..shape.records {
            let second = from + at as i64 * FILE_SECONDS / shape.records as i64;
            let made = record(&mut chance, place, second);
            if let Some(row) = &made.row {
                let row = truth.rows.entry(row.clone()).or_insert((0, second, second));
                *row = (row.0 + 1, row.1.min(second), row.2.max(second));
            }
            if chance.below(AGAIN) == 0 && number + 1 < shape.files {
                again.push(made.clone());
            }
            records.push(made);
        }
        let texts: Vec<&str> = records.iter().map(|made| made.json.as_str()).collect();
        let json = format!(r#"{{"Records":[{}]}}"#, texts.join(","));
        packed.resize(compressor.gzip_compress_bound(json.len()), 0);
        let length = compressor.gzip_compress(json.as_bytes(), &mut packed).context("the bound is enough")?;
        let path = folder.join(path(place, from, chance.next()));
        fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        fs::write(&path, &packed[..length]).with_context(|| format!("cannot write {}", path.display()))?;
        truth.records += records.len() as u64;
        truth.bytes += json.len() as u64;
        truth.stored_bytes += length as u64;
    }
    Ok(truth)
}

/// 2026-01-05T00:00:00Z.
const START: i64 = 1_767_571_200;

/// What one file spans. CloudTrail delivers about every five minutes.
const FILE_SECONDS: i64 = 300;

/// An account and Region.
struct Place {
    account: &'static str,
    region: &'static str,
}

const PLACES: [Place; 5] = [
    Place { account: "111122223333", region: "us-east-1" },
    Place { account: "111122223333", region: "eu-west-1" },
    Place { account: "444455556666", region: "us-east-1" },
    Place { account: "444455556666", region: "eu-central-1" },
    Place { account: "777788889999", region: "us-west-2" },
];

fn path(place: &Place, from: i64, unique: u64) -> PathBuf {
    let Place { account, region } = place;
    let (date, time) = civil(from);
    let [year, month, day] = date.splitn(3, '-').collect::<Vec<_>>()[..] else {
        unreachable!("a date has three parts")
    };
    let (date, time) = (date.replace('-', ""), time[..5].replace(':', ""));
    let name = format!("{account}_CloudTrail_{region}_{date}T{time}Z_{unique:016x}.json.gz");
    ["AWSLogs", account, "CloudTrail", region, year, month, day, &name].iter().collect()
}

/// `YYYY-MM-DD` and `HH:MM:SS`.
fn civil(second: i64) -> (String, String) {
    let text = api::Timestamp::from_second(second).map_or_else(|_| String::new(), |at| at.to_string());
    let (date, time) = text.split_once('T').unwrap_or_default();
    (date.to_owned(), time.trim_end_matches('Z').to_owned())
}

/// Numbers that look like chance and are always the same: SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Small numbers more often than large ones.
    fn skewed(&mut self, end: u64) -> u64 {
        let first = self.below(end);
        first.min(self.below(end)).min(self.below(end))
    }

    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len() as u64) as usize]
    }

    fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}

/// A record, and the row that it counts in if it is of KMS.
#[derive(Clone)]
struct Made {
    json: String,
    row: Option<Identity>,
}

/// What differs between records of one service and operation.
struct Call {
    source: &'static str,
    name: &'static str,
    agent: String,
    error: Option<(&'static str, String)>,
    request: String,
    response: String,
    extra: String,
    read_only: bool,
    resources: Option<String>,
    host: String,
}

fn record(chance: &mut Chance, place: &Place, second: i64) -> Made {
    let who = caller(chance, place, second);
    let (call, key) = if chance.below(100) < KMS_PERCENT {
        let (call, key) = kms(chance, place, &who);
        (call, Some(key))
    } else {
        (other(chance, place, &who), None)
    };
    let (date, time) = civil(second);
    let Call { source, name, agent, error, request, response, extra, read_only, resources, host } = call;
    let failure = error
        .as_ref()
        .map_or(String::new(), |(code, text)| format!(r#""errorCode":"{code}","errorMessage":"{text}","#));
    let resources = resources.map_or(String::new(), |resources| format!(r#""resources":{resources},"#));
    let address = format!("10.{}.{}.{}", chance.skewed(8), chance.skewed(16), chance.below(250));
    let (request_id, event_id) = (chance.uuid(), chance.uuid());
    let Place { account, region } = place;
    let json = format!(
        concat!(
            r#"{{"eventVersion":"1.11","userIdentity":{},"eventTime":"{}T{}Z","eventSource":"{}","eventName":"{}","#,
            r#""awsRegion":"{}","sourceIPAddress":"{}","userAgent":"{}",{}"requestParameters":{},"responseElements":{},"#,
            r#"{}"requestID":"{}","eventID":"{}","readOnly":{},{}"eventType":"AwsApiCall","managementEvent":true,"#,
            r#""recipientAccountId":"{}","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","#,
            r#""cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{}"}}}}"#
        ),
        who.json,
        date,
        time,
        source,
        name,
        region,
        address,
        agent,
        failure,
        request,
        response,
        extra,
        request_id,
        event_id,
        read_only,
        resources,
        account,
        host
    );
    let row = key
        .map(|(key, context)| (key, who.principal, name.to_owned(), error.map(|(code, _)| code.to_owned()), context));
    Made { json, row }
}

/// Who calls: the identity as it is written, and the name that stays.
struct Caller {
    number: u64,
    json: String,
    principal: String,
}

impl Caller {
    fn agent(&self) -> &'static str {
        AGENTS[self.number as usize % AGENTS.len()]
    }
}

const ROLES: [&str; 12] = [
    "orders-service",
    "billing-worker",
    "EksNodeGroup",
    "service-role/LambdaExec",
    "deploy/GitHubActions",
    "ReportingJob",
    "DataPipeline",
    "aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0a1b2c3d4e5f6071",
    "BackupRole",
    "inventory-api",
    "search-indexer",
    "SecurityAudit",
];

fn caller(chance: &mut Chance, place: &Place, second: i64) -> Caller {
    let account = place.account;
    if chance.below(12) == 0 {
        let user = chance.pick(&["ada", "ci-legacy", "grace", "terraform"]);
        let arn = format!("arn:aws:iam::{account}:user/{user}");
        let json = format!(
            concat!(
                r#"{{"type":"IAMUser","principalId":"AIDA2EXAMPLE{:0>9}","arn":"{}","accountId":"{}","#,
                r#""accessKeyId":"AKIA2EXAMPLE{:0>8}","userName":"{}"}}"#
            ),
            user.to_uppercase().replace('-', "X"),
            arn,
            account,
            user.len() * 7919,
            user
        );
        return Caller { number: user.len() as u64, json, principal: arn };
    }
    let number = chance.skewed(ROLES.len() as u64) as usize;
    let path = ROLES[number];
    let role = path.rsplit('/').next().unwrap_or(path);
    let session = chance.skewed(25);
    let session_name = format!("i-0{:016x}", session.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 4);
    let arn = format!("arn:aws:iam::{account}:role/{path}");
    let (date, time) = civil(second - second.rem_euclid(3600) + session as i64 * 31);
    let key = (session + 1).wrapping_mul(0xd1b5_4a32_d192_ed03) ^ (second / 3600) as u64;
    let json = format!(
        concat!(
            r#"{{"type":"AssumedRole","principalId":"AROA2EXAMPLE{:09}:{}","arn":"arn:aws:sts::{}:assumed-role/{}/{}","#,
            r#""accountId":"{}","accessKeyId":"ASIA{:016X}","sessionContext":{{"sessionIssuer":{{"type":"Role","#,
            r#""principalId":"AROA2EXAMPLE{:09}","arn":"{}","accountId":"{}","userName":"{}"}},"#,
            r#""attributes":{{"creationDate":"{}T{}Z","mfaAuthenticated":"false"}}{}}}}}"#
        ),
        number * 7919,
        session_name,
        account,
        role,
        session_name,
        account,
        key,
        number * 7919,
        arn,
        account,
        role,
        date,
        time,
        if number.is_multiple_of(3) { r#","ec2RoleDelivery":"2.0""# } else { "" }
    );
    Caller { number: number as u64, json, principal: arn }
}

const AGENTS: [&str; 5] = [
    "aws-sdk-java/2.29.6 md/io#sync md/http#Apache ua/2.1 os/Linux#5.10.230 lang/java#17.0.13 md/OpenJDK_64-Bit_Server_VM m/D,N",
    "Boto3/1.35.71 md/Botocore#1.35.71 ua/2.0 os/linux#6.1.112 md/arch#x86_64 lang/python#3.12.7 md/pyimpl#CPython cfg/retry-mode#legacy",
    "aws-sdk-go-v2/1.32.5 ua/2.1 os/linux lang/go#1.23.3 md/GOOS#linux md/GOARCH#amd64 api/kms#1.37.6 m/E,g",
    "APN/1.0 HashiCorp/1.0 Terraform/1.9.8 (+https://www.terraform.io) terraform-provider-aws/5.78.0",
    "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.750 Linux/5.10.226 OpenJDK_64-Bit_Server_VM/25.412-b09 cfg/retry-mode/standard]",
];

/// A call of KMS in `place`; its key, and its encryption context as it is spelt.
fn kms(chance: &mut Chance, place: &Place, who: &Caller) -> (Call, (String, String)) {
    let here: Vec<usize> = (0..KEYS)
        .filter(|number| {
            PLACES[number % PLACES.len()].region == place.region
                && PLACES[number % PLACES.len()].account == place.account
        })
        .collect();
    // Who calls has a key, and things, of its own.
    let key = key_arn(here[who.number as usize % here.len()]);
    let name = chance.pick(&[
        "Decrypt",
        "Decrypt",
        "Decrypt",
        "Decrypt",
        "Decrypt",
        "GenerateDataKey",
        "GenerateDataKey",
        "Encrypt",
        "DescribeKey",
        "GenerateDataKeyWithoutPlaintext",
    ]);
    let name: &'static str =
        ["Decrypt", "GenerateDataKey", "Encrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext"]
            .into_iter()
            .find(|known| *known == name)
            .unwrap_or("Decrypt");
    let Place { account, region } = place;
    let thing = who.number * 8 + chance.skewed(12);
    let context = match (name, (who.number * 3 + chance.below(3)) % 10) {
        ("DescribeKey", _) | (_, 0) => String::new(),
        (_, 1..=3) => format!(r#"{{"aws:s3:arn":"arn:aws:s3:::app-data-{region}-{}"}}"#, thing % 9),
        (_, 4..=5) => format!(
            r#"{{"SecretARN":"arn:aws:secretsmanager:{region}:{account}:secret:app/db-{thing}-AbCdEf","SecretVersionId":"{:08x}-1f2e-4d3c-8b5a-69788796a5b4"}}"#,
            thing * 7919
        ),
        (_, 6) => format!(r#"{{"aws:ebs:id":"vol-0{:016x}"}}"#, thing * 0x0001_2345_6789),
        (_, 7) => format!(r#"{{"PARAMETER_ARN":"arn:aws:ssm:{region}:{account}:parameter/app/{}/token"}}"#, thing % 40),
        (_, 8) => format!(
            r#"{{"aws:lambda:FunctionArn":"arn:aws:lambda:{region}:{account}:function:worker-{}"}}"#,
            thing % 20
        ),
        _ => format!(r#"{{"tenant":"t-{}","purpose":"invoice"}}"#, thing % 60),
    };
    let error = (chance.below(200) == 0).then(|| {
        ("AccessDenied", format!(
            "User: arn:aws:sts::{account}:assumed-role/x/y is not authorized to perform: kms:{name} on resource: {key} because no identity-based policy allows the kms:{name} action"
        ))
    });
    let spec = if name.starts_with("Generate") { r#","keySpec":"AES_256""# } else { "" };
    let algorithm = if name == "DescribeKey" || name.starts_with("Generate") {
        ""
    } else {
        r#","encryptionAlgorithm":"SYMMETRIC_DEFAULT""#
    };
    let shown = if context.is_empty() { String::new() } else { format!(r#","encryptionContext":{context}"#) };
    let call = Call {
        source: "kms.amazonaws.com",
        name,
        agent: who.agent().to_owned(),
        request: format!(r#"{{"keyId":"{key}"{spec}{algorithm}{shown}}}"#),
        response: "null".to_owned(),
        extra: if name == "DescribeKey" || error.is_some() {
            String::new()
        } else {
            format!(
                r#""additionalEventData":{{"keyMaterialId":"{:064x}"}},"#,
                u128::from(key.len() as u64) << 96 | 0xfeed_beef_0123_4567_89ab_cdef
            )
        },
        read_only: true,
        resources: Some(format!(r#"[{{"accountId":"{account}","type":"AWS::KMS::Key","ARN":"{key}"}}]"#)),
        host: format!("kms.{region}.amazonaws.com"),
        error,
    };
    (call, (key, context))
}

/// A call of another service.
fn other(chance: &mut Chance, place: &Place, who: &Caller) -> Call {
    let Place { account, region } = place;
    let thing = chance.skewed(60);
    let host = |service: &str| format!("{service}.{region}.amazonaws.com");
    let call = |source, name, read_only, request: String, response: String, host| Call {
        source,
        name,
        agent: String::new(),
        error: None,
        request,
        response,
        extra: String::new(),
        read_only,
        resources: None,
        host,
    };
    let null = || "null".to_owned();
    let mut call = match chance.below(24) {
        0..=5 => {
            let role = ROLES[chance.skewed(ROLES.len() as u64) as usize];
            let token = format!("{:016x}{:016x}", chance.next(), chance.next());
            Call {
                resources: Some(format!(
                    r#"[{{"accountId":"{account}","type":"AWS::IAM::Role","ARN":"arn:aws:iam::{account}:role/{role}"}}]"#
                )),
                ..call("sts.amazonaws.com", "AssumeRole", true,
                    format!(r#"{{"roleArn":"arn:aws:iam::{account}:role/{role}","roleSessionName":"session-{thing}","durationSeconds":3600}}"#),
                    format!(
                        r#"{{"credentials":{{"accessKeyId":"ASIA{:016X}","sessionToken":"IQoJb3JpZ2luX2VjE{token}","expiration":"Jan 5, 2026, 1:00:00 AM"}},"assumedRoleUser":{{"assumedRoleId":"AROA2EXAMPLE{:09}:session-{thing}","arn":"arn:aws:sts::{account}:assumed-role/{}/session-{thing}"}}}}"#,
                        chance.below(1 << 40), thing * 7919, role.rsplit('/').next().unwrap_or(role)
                    ), host("sts"))
            }
        }
        6..=9 => call("ec2.amazonaws.com", "DescribeInstances", true,
            format!(r#"{{"instancesSet":{{"items":[{{"instanceId":"i-0{:016x}"}},{{"instanceId":"i-0{:016x}"}}]}},"filterSet":{{"items":[{{"name":"tag:Name","valueSet":{{"items":[{{"value":"node-{thing}"}}]}}}}]}}}}"#,
                thing * 0x0fed_cba9, thing * 0x0123_4567), null(), host("ec2")),
        10 => call("ec2.amazonaws.com", "CreateVolume", false,
            format!(r#"{{"size":"100","zone":"{region}a","volumeType":"gp3","encrypted":true,"kmsKeyId":"{}"}}"#, key_arn(0)),
            format!(r#"{{"requestId":"{}","volumeId":"vol-0{:016x}","size":"100","status":"creating","encrypted":true,"kmsKeyId":"{}"}}"#,
                chance.uuid(), thing * 0x0001_2345_6789, key_arn(0)), host("ec2")),
        11..=12 => call("secretsmanager.amazonaws.com", "GetSecretValue", true,
            format!(r#"{{"secretId":"arn:aws:secretsmanager:{region}:{account}:secret:app/db-{thing}-AbCdEf"}}"#), null(), host("secretsmanager")),
        13..=14 => call("ssm.amazonaws.com", "UpdateInstanceInformation", false,
            format!(r#"{{"instanceId":"i-0{:016x}","agentVersion":"3.3.1345.0","agentStatus":"Active","platformType":"Linux","platformName":"Amazon Linux","platformVersion":"2023","iPAddress":"10.0.{}.{}","computerName":"ip-10-0-{}.{region}.compute.internal","agentName":"amazon-ssm-agent","availabilityZone":"{region}a","availabilityZoneId":"use1-az4","sSMConnectionChannel":"ssmmessages"}}"#,
                thing * 0x0fed_cba9, thing, thing * 3, thing), null(), host("ssm")),
        15 => call("dynamodb.amazonaws.com", "DescribeTable", true, format!(r#"{{"tableName":"orders-{thing}"}}"#), null(), host("dynamodb")),
        16 => call("logs.amazonaws.com", "CreateLogStream", false,
            format!(r#"{{"logGroupName":"/aws/lambda/worker-{thing}","logStreamName":"2026/01/05/[$LATEST]{:016x}"}}"#, chance.next()), null(), host("logs")),
        17 => call("monitoring.amazonaws.com", "DescribeAlarms", true, r#"{"maxRecords":100,"alarmTypes":["MetricAlarm"]}"#.to_owned(), null(), host("monitoring")),
        18 => call("autoscaling.amazonaws.com", "DescribeAutoScalingGroups", true, format!(r#"{{"autoScalingGroupNames":["workers-{thing}"]}}"#), null(), host("autoscaling")),
        19 => call("ecr.amazonaws.com", "BatchGetImage", true,
            format!(r#"{{"repositoryName":"app/worker-{thing}","registryId":"{account}","imageIds":[{{"imageTag":"v{thing}.4.1"}}],"acceptedMediaTypes":["application/vnd.docker.distribution.manifest.v2+json","application/vnd.oci.image.manifest.v1+json"]}}"#), null(), host("api.ecr")),
        20 => call("lambda.amazonaws.com", "GetFunction20150331v2", true, format!(r#"{{"functionName":"arn:aws:lambda:{region}:{account}:function:worker-{thing}"}}"#), null(), host("lambda")),
        21 => Call {
            error: Some(("AccessDenied", format!("User: arn:aws:sts::{account}:assumed-role/x/y is not authorized to perform: iam:GetRole on resource: role r-{thing} because no identity-based policy allows the iam:GetRole action"))),
            ..call("iam.amazonaws.com", "GetRole", true, format!(r#"{{"roleName":"r-{thing}"}}"#), null(), "iam.amazonaws.com".to_owned())
        },
        22 if chance.below(4) == 0 => call("iam.amazonaws.com", "PutRolePolicy", false,
            format!(r#"{{"roleName":"r-{thing}","policyName":"kms","policyDocument":"{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":[\"kms:Decrypt\",\"kms:GenerateDataKey\"],\"Resource\":\"{}\",\"Condition\":{{\"StringEquals\":{{\"kms:ViaService\":\"s3.{region}.amazonaws.com\"}}}}}}]}}"}}"#, key_arn(1)),
            null(), "iam.amazonaws.com".to_owned()),
        22 => call("elasticloadbalancing.amazonaws.com", "DescribeTargetHealth", true,
            format!(r#"{{"targetGroupArn":"arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/app-{thing}/{:016x}"}}"#, thing * 0x0123_4567_89ab), null(), host("elasticloadbalancing")),
        _ => Call {
            extra: r#""additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"SSEApplied":"Default_SSE_KMS","AuthenticationMethod":"AuthHeader","x-amz-id-2":"kJ2b1Yw0Qq7Uu3p5zXc8Vv9Nn6Mm4Ll2Kk1Jj0Hh","bytesTransferredOut":512},"#.to_owned(),
            resources: Some(format!(r#"[{{"accountId":"{account}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::app-data-{region}-{thing}"}}]"#)),
            ..call("s3.amazonaws.com", "GetBucketEncryption", true,
                format!(r#"{{"bucketName":"app-data-{region}-{thing}","Host":"app-data-{region}-{thing}.s3.{region}.amazonaws.com","encryption":""}}"#), null(), host("s3"))
        },
    };
    call.agent = who.agent().to_owned();
    call
}

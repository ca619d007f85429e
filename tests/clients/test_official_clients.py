"""The official clients, unmodified, against the simulated cloud.

    pip install -r ../requirements.txt
    EXOKIT_BIN=target/debug/exokit python3 test_official_clients.py

EXOKIT_BIN is a command that serves the cloud when called with `sim` and
prints one JSON line {endpoint, sos_endpoint, zone, api_key, api_secret}.
With EXOKIT_EXCHANGES, all that is asked of the API and answered is appended to
that file, for `test_openapi.py` to judge.
"""

import base64
import json
import os
import shlex
import subprocess
import sys
import unittest
import urllib.request

import boto3
import botocore.exceptions
import yaml
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from exoscale.api import v2
from exoscale.api.v2 import Client

COMMAND = shlex.split(os.environ.get("EXOKIT_BIN", "exokit"))
EXCHANGES = os.environ.get("EXOKIT_EXCHANGES")
CLIENT_ERRORS = (v2.ExoscaleAPIClientException, v2.ExoscaleAPIServerException)
try:
    from exoscale.api.exceptions import ExoscaleAPIAuthException as AuthError
except ImportError:
    from exoscale.api.generator import ExoscaleAPIAuthException as AuthError

# With --speed max an operation is final at the request after the first
# reply; the client's pause between polls is therefore never needed.
v2._sleep = lambda start_time: None


def start(*extra, record=EXCHANGES):
    """A fresh cloud: its process and what it announced."""
    if record:
        extra = ("--record", record, *extra)
    process = subprocess.Popen(
        [*COMMAND, "sim", "--speed", "max", "--listen", "127.0.0.1:0", *extra],
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, json.loads(process.stdout.readline())


def stop(process):
    """Ends a server that this test started."""
    process.terminate()
    process.wait(timeout=10)
    process.stdout.close()


class Cloud(unittest.TestCase):
    """One server per test class."""

    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.process, cls.at = start(*cls.arguments)
        cls.api = cls.client()

    @classmethod
    def tearDownClass(cls):
        stop(cls.process)

    @classmethod
    def client(cls, key=None, secret=None):
        return Client(
            key or cls.at["api_key"],
            secret or cls.at["api_secret"],
            url=cls.at["endpoint"],
        )

    @classmethod
    def s3(cls, key=None, secret=None):
        return boto3.client(
            "s3",
            endpoint_url=cls.at["sos_endpoint"],
            region_name=cls.at["zone"],
            aws_access_key_id=key or cls.at["api_key"],
            aws_secret_access_key=secret or cls.at["api_secret"],
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    def done(self, operation):
        """Waits for an operation and returns the id it refers to."""
        self.assertEqual(operation["state"], "pending")
        final = self.api.wait(operation["id"])
        self.assertEqual(final["state"], "success")
        return final.get("reference", {}).get("id")

    def refused(self, status, call, *args, **kwargs):
        """The call must fail with this status; its text is returned."""
        with self.assertRaises((AuthError, *CLIENT_ERRORS)) as caught:
            call(*args, **kwargs)
        text = str(caught.exception)
        self.assertIn(f" {status}:", text)
        return text

    def size(self, name):
        for found in self.api.list_instance_types()["instance-types"]:
            if (found["family"], found["size"]) == ("standard", name):
                return {"id": found["id"]}
        raise AssertionError(name)

    def cluster(self, name, **extra):
        version = self.api.list_sks_cluster_versions()["sks-cluster-versions"][0]
        return self.done(
            self.api.create_sks_cluster(
                name=name, level="starter", version=version, **extra
            )
        )


class TestCompute(Cloud):
    def test_zones_need_no_signature(self):
        zones = self.api.list_zones()["zones"]
        self.assertEqual(zones[0]["name"], self.at["zone"])
        self.assertEqual(zones[0]["api-endpoint"], self.at["endpoint"])
        self.assertEqual(zones[0]["sos-endpoint"], self.at["sos_endpoint"])
        self.assertTrue(all(zone["id"] for zone in zones))

    def test_every_zone_answers_at_its_endpoint(self):
        for zone in self.api.list_zones()["zones"]:
            api = Client(
                self.at["api_key"], self.at["api_secret"], url=zone["api-endpoint"]
            )
            self.assertIn("sks-clusters", api.list_sks_clusters())

    def test_unsigned_types_are_not_authorized(self):
        url = self.at["endpoint"] + "/instance-type"
        with urllib.request.urlopen(url) as reply:
            types = json.load(reply)["instance-types"]
        self.assertFalse(any(found["authorized"] for found in types))
        small = next(
            t for t in types if (t["family"], t["size"]) == ("standard", "small")
        )
        self.assertEqual(small["memory"], 2 << 30)

    def test_bad_signature_and_unknown_key(self):
        self.refused(403, self.client(secret="wrong").list_sks_clusters)
        self.refused(403, self.client(key="EXOnobody").list_sks_clusters)

    def test_cluster_life(self):
        group = self.done(self.api.create_security_group(name="life-sg"))
        self.assertNotIn("rules", self.api.get_security_group(id=group))
        self.done(
            self.api.add_rule_to_security_group(
                id=group,
                flow_direction="ingress",
                protocol="tcp",
                start_port=10250,
                end_port=10250,
                security_group={"id": group},
            )
        )
        rules = self.api.get_security_group(id=group)["rules"]
        self.assertEqual(rules[0]["security-group"]["name"], "life-sg")
        apart = self.done(self.api.create_anti_affinity_group(name="life-aag"))
        cluster = self.cluster(
            "life",
            cni="calico",
            addons=["exoscale-cloud-controller", "metrics-server"],
            labels={"a": "b"},
        )
        found = self.api.get_sks_cluster(id=cluster)
        self.assertEqual(found["state"], "running")
        self.assertEqual(found["labels"], {"a": "b"})
        pool = self.done(
            self.api.create_sks_nodepool(
                id=cluster,
                name="life-pool",
                size=2,
                disk_size=20,
                instance_type=self.size("small"),
                security_groups=[{"id": group}],
                anti_affinity_groups=[{"id": apart}],
            )
        )
        nodepool = self.api.get_sks_nodepool(id=cluster, sks_nodepool_id=pool)
        self.assertEqual(nodepool["state"], "running")
        listed = self.api.list_sks_clusters()["sks-clusters"]
        mine = next(c for c in listed if c["id"] == cluster)
        self.assertEqual([p["id"] for p in mine["nodepools"]], [pool])
        behind = nodepool["instance-pool"]["id"]
        machines = self.api.list_instances(manager_id=behind)["instances"]
        self.assertEqual(len(machines), 2)
        self.assertRegex(machines[0]["name"], r"^pool-[a-z0-9]{5}-[a-z0-9]{5}$")
        self.assertEqual({m["state"] for m in machines}, {"running"})
        self.done(
            self.api.scale_sks_nodepool(id=cluster, sks_nodepool_id=pool, size=3)
        )
        members = self.api.get_instance_pool(id=behind)["instances"]
        self.assertEqual(len(members), 3)
        self.done(
            self.api.evict_sks_nodepool_members(
                id=cluster, sks_nodepool_id=pool, instances=[members[0]["id"]]
            )
        )
        self.assertEqual(len(self.api.get_instance_pool(id=behind)["instances"]), 2)
        # Refusals on the way down, then the way down in order.
        self.refused(400, self.api.delete_sks_cluster, id=cluster)
        self.refused(409, self.api.delete_security_group, id=group)
        self.done(self.api.delete_sks_nodepool(id=cluster, sks_nodepool_id=pool))
        self.done(self.api.delete_sks_cluster(id=cluster))
        self.refused(404, self.api.get_sks_cluster, id=cluster)
        self.done(self.api.delete_security_group(id=group))
        self.done(self.api.delete_anti_affinity_group(id=apart))

    def test_refused_creations(self):
        create = self.api.create_sks_cluster
        text = self.refused(400, create, name="x", version="1.35.1")
        self.assertIn("missing keys 'level'", text)
        self.refused(400, create, name="x", level="starter", version="0.1")
        cluster = self.cluster("refusals")
        nodepool = {"id": cluster, "size": 1, "disk_size": 20}
        for size in ("micro", "tiny"):
            self.refused(
                409,
                self.api.create_sks_nodepool,
                name="tiny",
                instance_type=self.size(size),
                **nodepool,
            )
        self.refused(
            400,
            self.api.create_sks_nodepool,
            name="Upper_Case",
            instance_type=self.size("small"),
            **nodepool,
        )
        self.refused(
            409,
            self.api.create_sks_nodepool,
            id=cluster,
            name="many",
            size=500,
            disk_size=20,
            instance_type=self.size("small"),
        )
        self.done(self.api.delete_sks_cluster(id=cluster))

    def signed_by_its_authority(self, kubeconfig, seconds):
        """Checks the certificates of a kubeconfig; gives groups and user."""
        config = yaml.safe_load(kubeconfig)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        decoded = base64.b64decode
        authority = x509.load_pem_x509_certificate(decoded(cluster["certificate-authority-data"]))
        client = x509.load_pem_x509_certificate(decoded(user["client-certificate-data"]))
        client.verify_directly_issued_by(authority)
        key = load_pem_private_key(decoded(user["client-key-data"]), password=None)
        self.assertEqual(key.public_key(), client.public_key())
        life = client.not_valid_after_utc - client.not_valid_before_utc
        self.assertEqual(life.total_seconds(), seconds)
        names = [NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME]
        return [part.value for name in names for part in client.subject.get_attributes_for_oid(name)]

    def test_kubeconfig(self):
        cluster = self.cluster("kube")
        make = self.api.generate_sks_cluster_kubeconfig
        text = self.refused(400, make, id=cluster, user="admin")
        self.assertIn("missing keys 'groups'", text)
        reply = make(id=cluster, user="admin", groups=["system:masters"], ttl=3600)
        config = base64.b64decode(reply["kubeconfig"]).decode()
        endpoint = self.api.get_sks_cluster(id=cluster)["endpoint"]
        self.assertEqual(endpoint, f"{cluster}.sks-{self.at['zone']}.exo.io")
        # On the loopback interface the name in the certificate tells the cluster.
        self.assertIn('server: "https://127.0.0.1:', config)
        self.assertIn(f'tls-server-name: "{endpoint}"', config)
        self.assertEqual(self.signed_by_its_authority(config, 3600), ["system:masters", "admin"])
        self.done(self.api.delete_sks_cluster(id=cluster))

    def test_balancer_locks_the_pool(self):
        cluster = self.cluster("locked")
        pool = self.done(
            self.api.create_sks_nodepool(
                id=cluster,
                name="locked",
                size=1,
                disk_size=20,
                instance_type=self.size("small"),
            )
        )
        behind = self.api.get_sks_nodepool(id=cluster, sks_nodepool_id=pool)
        target = {"id": behind["instance-pool"]["id"]}
        balancer = self.done(self.api.create_load_balancer(name="k8s-uid"))
        self.refused(409, self.api.create_load_balancer, name="k8s-uid")
        self.done(
            self.api.add_service_to_load_balancer(
                id=balancer,
                name="uid-80",
                protocol="tcp",
                strategy="round-robin",
                port=80,
                target_port=30080,
                instance_pool=target,
                healthcheck={"mode": "tcp", "port": 30080, "interval": 10, "timeout": 5},
            )
        )
        found = self.api.get_load_balancer(id=balancer)
        self.assertEqual(found["services"][0]["instance-pool"]["id"], target["id"])
        delete = self.api.delete_sks_nodepool
        text = self.refused(409, delete, id=cluster, sks_nodepool_id=pool)
        self.assertIn("forbidden", text)
        self.done(self.api.delete_load_balancer(id=balancer))
        self.done(delete(id=cluster, sks_nodepool_id=pool))
        self.done(self.api.delete_sks_cluster(id=cluster))

    def test_volumes(self):
        volume = self.done(self.api.create_block_storage_volume(name="v", size=10))
        self.assertEqual(
            self.api.get_block_storage_volume(id=volume)["state"], "detached"
        )
        self.refused(412, self.api.detach_block_storage_volume, id=volume)
        grown = self.api.resize_block_storage_volume(id=volume, size=20)
        self.assertEqual(grown["size"], 20)
        snapshot = self.done(self.api.create_block_storage_snapshot(id=volume))
        self.done(self.api.delete_block_storage_snapshot(id=snapshot))
        self.done(self.api.delete_block_storage_volume(id=volume))

    def test_events_and_unserved_routes(self):
        group = self.done(self.api.create_security_group(name="seen"))
        self.done(self.api.delete_security_group(id=group))
        events = self.api.list_events(**{"from": "2020-01-01T00:00:00Z"})
        mine = [e for e in events if e["body-params"].get("name") == "seen"]
        self.assertEqual(mine[0]["handler"], "create-security-group")
        self.assertEqual(mine[0]["iam-api-key"]["key"], self.at["api_key"])
        self.refused(501, self.api.list_kms_keys)


class TestDatabases(Cloud):
    def test_types(self):
        found = self.api.get_dbaas_service_type(service_type_name="pg")
        self.assertIn("16", found["available-versions"])
        self.assertIn("startup-4", [plan["name"] for plan in found["plans"]])

    def test_postgres_life(self):
        create = self.api.create_dbaas_service_pg
        operation = create(
            name="life-pg",
            plan="startup-4",
            version="16",
            termination_protection=True,
            ip_filter=["0.0.0.0/0"],
        )
        self.assertNotIn("reference", operation)
        self.assertEqual(
            self.api.get_dbaas_service_pg(name="life-pg")["state"], "running"
        )
        text = self.refused(409, create, name="life-pg", plan="startup-4")
        self.assertIn("already taken", text)
        self.refused(403, create, name="other-pg", plan="startup-4", version="9")
        self.refused(403, create, name="other-pg", plan="startup-3")
        secret = self.api.reveal_dbaas_postgres_user_password(
            service_name="life-pg", username="avnadmin"
        )
        self.assertTrue(secret["password"])
        whole = json.dumps(self.api.get_dbaas_service_pg(name="life-pg"))
        self.assertNotIn(secret["password"], whole)
        self.refused(403, self.api.delete_dbaas_service_pg, name="life-pg")
        self.api.update_dbaas_service_pg(name="life-pg", termination_protection=False)
        self.api.delete_dbaas_service_pg(name="life-pg")
        self.refused(404, self.api.get_dbaas_service_pg, name="life-pg")

    def test_valkey_life(self):
        self.api.create_dbaas_service_valkey(name="life-kv", plan="startup-4")
        found = self.api.get_dbaas_service_valkey(name="life-kv")
        self.assertTrue(found["uri"].startswith("valkeys://"))
        names = [s["name"] for s in self.api.list_dbaas_services()["dbaas-services"]]
        self.assertIn("life-kv", names)
        self.api.delete_dbaas_service(name="life-kv")
        self.refused(404, self.api.get_dbaas_service_valkey, name="life-kv")


class TestFaults(Cloud):
    @classmethod
    def setUpClass(cls):
        import tempfile

        rules = [
            {
                "match": {"operation": "list-quotas", "nth": 1},
                "fault": {"kind": "status", "status": 503, "retry_after": 1},
            },
            {
                "match": {"operation": "create-security-group", "nth": 1},
                "fault": {"kind": "operation-fails", "reason": "busy"},
            },
            {
                "match": {"operation": "create-anti-affinity-group", "nth": 1},
                "fault": {"kind": "drop-after"},
            },
        ]
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump(rules, file)
        cls.arguments = ("--faults", file.name)
        super().setUpClass()
        os.unlink(file.name)

    def test_status(self):
        self.refused(503, self.api.list_quotas)
        self.assertTrue(self.api.list_quotas()["quotas"])

    def test_failing_operation(self):
        operation = self.api.create_security_group(name="fails")
        with self.assertRaises(v2.ExoscaleAPIServerException) as caught:
            self.api.wait(operation["id"])
        self.assertIn("busy", str(caught.exception))
        self.refused(404, self.api.get_security_group, id=operation["reference"]["id"])

    def test_lost_reply(self):
        import requests

        with self.assertRaises(requests.exceptions.ConnectionError):
            self.api.create_anti_affinity_group(name="lost")
        names = [
            g["name"]
            for g in self.api.list_anti_affinity_groups()["anti-affinity-groups"]
        ]
        self.assertIn("lost", names)


class TestStorage(Cloud):
    def code(self, call, **kwargs):
        """The S3 error code the call is refused with."""
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**kwargs)
        return caught.exception.response["Error"]["Code"]

    def test_objects(self):
        s3 = self.s3()
        s3.create_bucket(Bucket="plain-bucket")
        self.assertEqual(
            self.code(s3.create_bucket, Bucket="plain-bucket"),
            "BucketAlreadyOwnedByYou",
        )
        s3.put_object(
            Bucket="plain-bucket",
            Key="dir/a b+c",
            Body=b"hello",
            ContentType="text/plain",
            Metadata={"k": "v"},
        )
        found = s3.get_object(Bucket="plain-bucket", Key="dir/a b+c")
        self.assertEqual(found["Body"].read(), b"hello")
        self.assertEqual(found["Metadata"], {"k": "v"})
        part = s3.get_object(Bucket="plain-bucket", Key="dir/a b+c", Range="bytes=1-2")
        self.assertEqual(part["Body"].read(), b"el")
        head = s3.head_object(Bucket="plain-bucket", Key="dir/a b+c")
        self.assertEqual(head["ContentLength"], 5)
        self.assertEqual(self.code(s3.head_object, Bucket="plain-bucket", Key="x"), "404")
        for number in range(5):
            s3.put_object(Bucket="plain-bucket", Key=f"n{number}", Body=b"x")
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket="plain-bucket", PaginationConfig={"PageSize": 2}
        )
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        self.assertEqual(keys, ["dir/a b+c", "n0", "n1", "n2", "n3", "n4"])
        tree = s3.list_objects_v2(Bucket="plain-bucket", Delimiter="/")
        self.assertEqual(tree["CommonPrefixes"], [{"Prefix": "dir/"}])
        self.assertEqual(
            len(s3.list_objects(Bucket="plain-bucket")["Contents"]), len(keys)
        )
        self.assertEqual(
            self.code(s3.delete_bucket, Bucket="plain-bucket"), "BucketNotEmpty"
        )
        s3.delete_objects(
            Bucket="plain-bucket", Delete={"Objects": [{"Key": key} for key in keys]}
        )
        s3.delete_bucket(Bucket="plain-bucket")
        self.assertEqual(self.code(s3.head_bucket, Bucket="plain-bucket"), "404")

    def test_versions(self):
        s3 = self.s3()
        s3.create_bucket(Bucket="versioned")
        s3.put_bucket_versioning(
            Bucket="versioned", VersioningConfiguration={"Status": "Enabled"}
        )
        self.assertEqual(
            s3.get_bucket_versioning(Bucket="versioned")["Status"], "Enabled"
        )
        first = s3.put_object(Bucket="versioned", Key="k", Body=b"1")["VersionId"]
        s3.put_object(Bucket="versioned", Key="k", Body=b"2")
        s3.delete_object(Bucket="versioned", Key="k")
        self.assertEqual(self.code(s3.get_object, Bucket="versioned", Key="k"), "NoSuchKey")
        old = s3.get_object(Bucket="versioned", Key="k", VersionId=first)
        self.assertEqual(old["Body"].read(), b"1")
        listed = s3.list_object_versions(Bucket="versioned")
        self.assertEqual(len(listed["Versions"]), 2)
        self.assertEqual(len(listed["DeleteMarkers"]), 1)
        self.assertEqual(self.code(s3.delete_bucket, Bucket="versioned"), "BucketNotEmpty")
        gone = [
            {"Key": v["Key"], "VersionId": v["VersionId"]}
            for v in listed["Versions"] + listed["DeleteMarkers"]
        ]
        s3.delete_objects(Bucket="versioned", Delete={"Objects": gone, "Quiet": True})
        s3.delete_bucket(Bucket="versioned")

    def test_multipart_leftovers(self):
        s3 = self.s3()
        s3.create_bucket(Bucket="parts")
        upload = s3.create_multipart_upload(Bucket="parts", Key="big")["UploadId"]
        where = {"Bucket": "parts", "Key": "big", "UploadId": upload}
        part = s3.upload_part(PartNumber=1, Body=b"a" * 100, **where)
        other = s3.upload_part(PartNumber=2, Body=b"b", **where)
        self.assertEqual(len(s3.list_parts(**where)["Parts"]), 2)
        s3.complete_multipart_upload(
            MultipartUpload={
                "Parts": [
                    {"PartNumber": 1, "ETag": part["ETag"]},
                    {"PartNumber": 2, "ETag": other["ETag"]},
                ]
            },
            **where,
        )
        body = s3.get_object(Bucket="parts", Key="big")["Body"].read()
        self.assertEqual(body, b"a" * 100 + b"b")
        s3.delete_object(Bucket="parts", Key="big")
        left = s3.create_multipart_upload(Bucket="parts", Key="left")["UploadId"]
        self.assertEqual(self.code(s3.delete_bucket, Bucket="parts"), "BucketNotEmpty")
        uploads = s3.list_multipart_uploads(Bucket="parts")["Uploads"]
        self.assertEqual([u["UploadId"] for u in uploads], [left])
        s3.abort_multipart_upload(Bucket="parts", Key="left", UploadId=left)
        s3.delete_bucket(Bucket="parts")

    def test_settings_and_presigned(self):
        s3 = self.s3()
        s3.create_bucket(Bucket="settings")
        self.assertEqual(
            s3.get_bucket_lifecycle_configuration(Bucket="settings").get("Rules", []), []
        )
        grants = s3.get_bucket_acl(Bucket="settings")["Grants"]
        self.assertEqual([g["Permission"] for g in grants], ["FULL_CONTROL"])
        region = s3.get_bucket_location(Bucket="settings")["LocationConstraint"]
        self.assertEqual(region, self.at["zone"])
        s3.put_object(Bucket="settings", Key="k", Body=b"signed")
        url = s3.generate_presigned_url(
            "get_object", Params={"Bucket": "settings", "Key": "k"}, ExpiresIn=60
        )
        with urllib.request.urlopen(url) as reply:
            self.assertEqual(reply.read(), b"signed")
        self.assertIn(
            "settings",
            [b["name"] for b in self.api.list_sos_buckets_usage()["sos-buckets-usage"]],
        )
        s3.delete_object(Bucket="settings", Key="k")
        s3.delete_bucket(Bucket="settings")

    def test_wrong_secret(self):
        s3 = self.s3(secret="wrong")
        self.assertEqual(self.code(s3.list_buckets), "SignatureDoesNotMatch")

    def test_key_limited_to_one_bucket(self):
        policy = {
            "default-service-strategy": "deny",
            "services": {
                "sos": {
                    "type": "rules",
                    "rules": [
                        {
                            "action": "allow",
                            "expression": "resources.bucket == 'mine-only'",
                        }
                    ],
                }
            },
        }
        role = self.done(self.api.create_iam_role(name="one-bucket", policy=policy))
        key = self.api.create_api_key(name="limited", role_id=role)
        self.assertNotIn("secret", self.api.get_api_key(id=key["key"]))
        everything, limited = self.s3(), self.s3(key["key"], key["secret"])
        for bucket in ("mine-only", "not-mine"):
            everything.create_bucket(Bucket=bucket)
        limited.put_object(Bucket="mine-only", Key="k", Body=b"x")
        self.assertEqual(
            self.code(limited.put_object, Bucket="not-mine", Key="k", Body=b"x"),
            "AccessDenied",
        )
        self.assertEqual(self.code(limited.list_buckets), "AccessDenied")
        api = self.client(key["key"], key["secret"])
        self.refused(403, api.list_sks_clusters)
        self.assertTrue(api.list_zones()["zones"])
        self.refused(409, self.api.delete_iam_role, id=role)
        self.assertIsNone(self.done(self.api.delete_api_key(id=key["key"])))
        self.assertEqual(
            self.code(limited.get_object, Bucket="mine-only", Key="k"),
            "InvalidAccessKeyId",
        )
        self.done(self.api.delete_iam_role(id=role))
        everything.delete_object(Bucket="mine-only", Key="k")
        for bucket in ("mine-only", "not-mine"):
            everything.delete_bucket(Bucket=bucket)


class TestState(unittest.TestCase):
    def server(self, state):
        """A server on a state file, ended with the test; its client too."""
        process, at = start("--state", state)
        self.addCleanup(stop, process)
        return at, Client(at["api_key"], at["api_secret"], url=at["endpoint"])

    def test_two_servers_share_one_file(self):
        import tempfile

        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        state = os.path.join(folder.name, "cloud.json")
        servers = [self.server(state) for _ in range(2)]
        one, two = (client for _, client in servers)
        operation = one.create_security_group(name="shared")
        group = operation["reference"]["id"]
        self.assertEqual(two.get_security_group(id=group)["name"], "shared")
        self.assertEqual(two.wait(operation["id"])["state"], "success")
        for at, client in servers:
            told = client.list_zones()["zones"][0]["api-endpoint"]
            self.assertEqual(told, at["endpoint"])
        _, later = self.server(state)
        self.assertEqual(later.get_security_group(id=group)["name"], "shared")


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)

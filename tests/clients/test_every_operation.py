"""The official client uses every served operation, with all that a body may hold.

What the other tests do not need is used here, so that together they leave out
nothing that `docs/fidelity.md` calls served; `test_openapi.py` checks that.
"""

import unittest

from test_official_clients import Cloud

LABELS = {"a": "b"}
TEMPLATE = {"id": "3f8a9e4c-7f10-4c53-a4a5-0a5d7f9b1e20"}
POLICY = {
    "default-service-strategy": "allow",
    "services": {
        "dns": {"type": "deny"},
        "compute": {
            "type": "rules",
            "rules": [{"action": "allow", "expression": "operation != 'list-zones'"}],
        },
    },
}


class TestKubernetes(Cloud):
    def test_cluster(self):
        versions = self.api.list_sks_cluster_versions(include_deprecated="true")
        new, old = versions["sks-cluster-versions"][:2]
        api, cluster = self.api, self.done(
            self.api.create_sks_cluster(
                name="all",
                level="starter",
                version=old,
                description="all of it",
                labels=LABELS,
                cni="calico",
                auto_upgrade=True,
                networking={"cluster-cidr": "192.168.0.0/16"},
                oidc={"client-id": "c", "issuer-url": "https://localhost"},
                create_default_security_group=True,
                enable_kube_proxy=True,
                feature_gates=["A"],
                addons=["exoscale-cloud-controller", "metrics-server"],
                audit={"endpoint": "https://localhost", "bearer-token": "audit-token"},
            )
        )
        found = api.get_sks_cluster(id=cluster)
        self.assertTrue(found["default-security-group-id"])
        self.assertNotIn("audit-token", str(found))
        for authority in ("aggregation", "control-plane", "kubelet"):
            reply = api.get_sks_cluster_authority_cert(id=cluster, authority=authority)
            self.assertTrue(reply["cacert"])
        for variant in ("standard", "nvidia"):
            reply = api.get_active_nodepool_template(kube_version=old, variant=variant)
            self.assertTrue(reply["active-template"])
        self.assertEqual(api.list_sks_cluster_deprecated_resources(id=cluster), [])
        api.get_sks_cluster_inspection(id=cluster)
        self.done(api.update_sks_cluster(id=cluster, description="new", labels={}))
        self.assertEqual(api.get_sks_cluster(id=cluster)["description"], "new")
        self.done(api.upgrade_sks_cluster(id=cluster, version=new))
        self.done(api.upgrade_sks_cluster_service_level(id=cluster))
        found = api.get_sks_cluster(id=cluster)
        self.assertEqual((found["version"], found["level"]), (new, "pro"))
        self.done(api.delete_sks_cluster(id=cluster))

    def test_nodepool(self):
        api, cluster = self.api, self.cluster("pools")
        group = self.done(api.create_security_group(name="pools-sg", description="d"))
        apart = self.done(api.create_anti_affinity_group(name="pools", description="d"))
        network = self.done(api.create_private_network(name="pools"))
        pool = self.done(
            api.create_sks_nodepool(
                id=cluster,
                name="all",
                size=1,
                disk_size=100,
                instance_type=self.size("medium"),
                description="d",
                labels=LABELS,
                taints={"k": {"value": "v", "effect": "NoSchedule"}},
                security_groups=[{"id": group}],
                anti_affinity_groups=[{"id": apart}],
                private_networks=[{"id": network}],
                instance_prefix="node",
                public_ip_assignment="inet4",
                kubelet_image_gc={"high-threshold": 80, "low-threshold": 60},
                kubelet_max_pods=110,
                addons=["storage-lvm"],
            )
        )
        self.done(
            api.update_sks_nodepool(
                id=cluster, sks_nodepool_id=pool, description="new", labels={"c": "d"}
            )
        )
        found = api.get_sks_nodepool(id=cluster, sks_nodepool_id=pool)
        self.assertEqual((found["description"], found["labels"]), ("new", {"c": "d"}))
        behind = found["instance-pool"]["id"]
        shown = api.get_instance_pool(id=behind)
        self.assertEqual(shown["manager"]["id"], pool)
        self.assertIn(
            behind, [p["id"] for p in api.list_instance_pools()["instance-pools"]]
        )
        self.assertTrue(api.get_anti_affinity_group(id=apart)["instances"])
        listed = {c["id"]: c for c in api.list_sks_clusters()["sks-clusters"]}
        self.assertEqual(listed[cluster]["nodepools"][0]["id"], pool)
        self.assertTrue(api.get_instance(id=shown["instances"][0]["id"])["name"])
        self.done(api.delete_sks_nodepool(id=cluster, sks_nodepool_id=pool))
        self.done(api.delete_sks_cluster(id=cluster))


class TestMachines(Cloud):
    def test_pool(self):
        api = self.api
        group = self.done(api.create_security_group(name="g"))
        apart = self.done(api.create_anti_affinity_group(name="a"))
        network = self.done(api.create_private_network(name="n"))
        pool = self.done(
            api.create_instance_pool(
                name="p",
                description="d",
                size=2,
                instance_type=self.size("small"),
                template=TEMPLATE,
                disk_size=10,
                labels=LABELS,
                instance_prefix="m",
                security_groups=[{"id": group}],
                anti_affinity_groups=[{"id": apart}],
                private_networks=[{"id": network}],
                ssh_keys=[{"name": "k"}],
                min_available=1,
                public_ip_assignment="inet4",
                user_data="I2Nsb3VkLWNvbmZpZw==",
                ipv6_enabled=False,
                application_consistent_snapshot_enabled=False,
            )
        )
        self.done(api.update_instance_pool(id=pool, name="q", labels={"c": "d"}))
        found = api.get_instance_pool(id=pool)
        self.assertEqual((found["name"], found["labels"]), ("q", {"c": "d"}))
        self.done(api.scale_instance_pool(id=pool, size=3))
        members = api.get_instance_pool(id=pool)["instances"]
        self.assertEqual(len(members), 3)
        gone = members[0]["id"]
        self.done(api.evict_instance_pool_members(id=pool, instances=[gone]))
        left = [m["id"] for m in api.get_instance_pool(id=pool)["instances"]]
        self.assertEqual((len(left), gone in left), (2, False))
        self.assertEqual(
            [p["id"] for p in api.list_instance_pools()["instance-pools"]], [pool]
        )
        self.assertTrue(api.get_instance(id=left[0])["manager"])
        self.assertEqual(len(api.get_anti_affinity_group(id=apart)["instances"]), 2)
        self.done(api.delete_instance_pool(id=pool))
        self.refused(404, api.get_instance_pool, id=pool)

    def test_instance(self):
        api, size = self.api, self.size("small")
        group = self.done(api.create_security_group(name="single"))
        machine = self.done(
            api.create_instance(
                name="m",
                instance_type=size,
                template=TEMPLATE,
                disk_size=10,
                labels=LABELS,
                security_groups=[{"id": group}],
                ssh_key={"name": "k"},
                ssh_keys=[{"name": "k"}],
                auto_start=False,
                public_ip_assignment="inet4",
                user_data="I2Nsb3VkLWNvbmZpZw==",
                ipv6_enabled=False,
                secureboot_enabled=False,
                tpm_enabled=False,
                application_consistent_snapshot_enabled=False,
            )
        )

        def state():
            return api.get_instance(id=machine)["state"]

        def groups():
            return [g["id"] for g in api.get_instance(id=machine)["security-groups"]]

        self.assertEqual(state(), "stopped")
        self.done(api.start_instance(id=machine))
        self.assertEqual(state(), "running")
        self.done(api.reboot_instance(id=machine))
        self.done(api.update_instance(id=machine, name="other", labels={}))
        self.assertEqual(api.get_instance(id=machine)["name"], "other")
        other = self.done(api.create_security_group(name="other"))
        self.done(
            api.attach_instance_to_security_group(id=other, instance={"id": machine})
        )
        self.assertIn(other, groups())
        self.done(
            api.detach_instance_from_security_group(id=other, instance={"id": machine})
        )
        self.assertNotIn(other, groups())
        volume = self.done(
            api.create_block_storage_volume(name="v", size=10, labels=LABELS)
        )
        self.done(
            api.attach_block_storage_volume_to_instance(
                id=volume, instance={"id": machine}
            )
        )
        self.assertEqual(
            api.get_block_storage_volume(id=volume)["instance"]["id"], machine
        )
        listed = api.list_block_storage_volumes(instance_id=machine)[
            "block-storage-volumes"
        ]
        self.assertEqual([v["id"] for v in listed], [volume])
        self.refused(412, api.delete_block_storage_volume, id=volume)
        self.done(api.detach_block_storage_volume(id=volume))
        self.done(api.stop_instance(id=machine))
        self.assertEqual(state(), "stopped")
        self.assertIn(machine, [m["id"] for m in api.list_instances()["instances"]])
        self.done(api.delete_instance(id=machine))

    def test_types_and_quotas(self):
        for found in self.api.list_instance_types()["instance-types"]:
            shown = self.api.get_instance_type(id=found["id"])
            self.assertEqual(shown["memory"], found["memory"])
        self.assertEqual(self.api.get_quota(entity="instance")["resource"], "instance")


class TestNetworks(Cloud):
    def test_private_network(self):
        api = self.api
        network = self.done(
            api.create_private_network(
                name="n",
                description="d",
                labels=LABELS,
                start_ip="10.0.0.10",
                end_ip="10.0.0.100",
                netmask="255.255.255.0",
                options={"dns-servers": ["10.0.0.1"], "domain-search": ["local"]},
            )
        )
        self.done(api.update_private_network(id=network, name="o", labels={}))
        self.assertEqual(api.get_private_network(id=network)["name"], "o")
        listed = api.list_private_networks()["private-networks"]
        self.assertEqual([n["id"] for n in listed], [network])
        self.done(api.delete_private_network(id=network))

    def test_balancer(self):
        api = self.api
        pool = self.done(
            api.create_instance_pool(
                name="behind",
                size=1,
                instance_type=self.size("small"),
                template=TEMPLATE,
                disk_size=10,
            )
        )
        balancer = self.done(
            api.create_load_balancer(name="b", description="d", labels=LABELS)
        )
        check = {
            "mode": "https",
            "port": 443,
            "uri": "/healthz",
            "tls-sni": "localhost",
            "interval": 10,
            "timeout": 5,
            "retries": 2,
        }
        self.done(
            api.add_service_to_load_balancer(
                id=balancer,
                name="s",
                description="d",
                protocol="tcp",
                strategy="source-hash",
                port=443,
                target_port=30443,
                instance_pool={"id": pool},
                healthcheck=check,
            )
        )
        service = api.get_load_balancer(id=balancer)["services"][0]["id"]
        self.done(
            api.update_load_balancer_service(
                id=balancer, service_id=service, name="t", healthcheck=check
            )
        )
        shown = api.get_load_balancer_service(id=balancer, service_id=service)
        self.assertEqual((shown["name"], shown["port"]), ("t", 443))
        self.done(api.update_load_balancer(id=balancer, name="c", labels={}))
        listed = api.list_load_balancers()["load-balancers"]
        self.assertEqual([b["name"] for b in listed], ["c"])
        self.done(api.delete_load_balancer_service(id=balancer, service_id=service))
        self.done(api.delete_load_balancer(id=balancer))
        self.done(api.delete_instance_pool(id=pool))

    def test_rules(self):
        api, group = self.api, self.done(self.api.create_security_group(name="r"))
        rules = [
            {"protocol": "icmp", "icmp": {"type": 8, "code": 0}, "network": "0.0.0.0/0"},
            {"protocol": "tcp", "start_port": 1, "end_port": 2, "network": "::/0"},
            {"protocol": "esp", "security_group": {"id": group}, "description": "d"},
        ]
        for rule in rules:
            self.done(
                api.add_rule_to_security_group(id=group, flow_direction="ingress", **rule)
            )
        found = api.get_security_group(id=group)["rules"]
        self.assertEqual(len(found), 3)
        for rule in found:
            self.done(api.delete_rule_from_security_group(id=group, rule_id=rule["id"]))
        for visibility in ("private", "public"):
            self.assertTrue(
                api.list_security_groups(visibility=visibility)["security-groups"]
            )


class TestVolumes(Cloud):
    def test_snapshot(self):
        api = self.api
        volume = self.done(api.create_block_storage_volume(name="v", size=10))
        self.done(api.update_block_storage_volume(id=volume, name="w", labels=LABELS))
        snapshot = self.done(
            api.create_block_storage_snapshot(id=volume, name="s", labels=LABELS)
        )
        self.done(api.update_block_storage_snapshot(id=snapshot, name="t", labels={}))
        shown = api.get_block_storage_snapshot(id=snapshot)
        self.assertEqual(
            (shown["name"], shown["block-storage-volume"]["id"]), ("t", volume)
        )
        self.assertTrue(api.list_block_storage_snapshots()["block-storage-snapshots"])
        copy = self.done(
            api.create_block_storage_volume(
                name="c", block_storage_snapshot={"id": snapshot}
            )
        )
        self.assertEqual(api.get_block_storage_volume(id=copy)["size"], 10)


class TestDatabases(Cloud):
    def test_postgres(self):
        api = self.api
        api.create_dbaas_service_pg(
            name="all-pg",
            plan="startup-4",
            version="16",
            ip_filter=["0.0.0.0/0"],
            termination_protection=False,
            maintenance={"dow": "sunday", "time": "03:00:00"},
            backup_schedule={"backup-hour": 2, "backup-minute": 30},
            admin_username="chief",
            admin_password="not-shown-again-1",
            pg_settings={"log_min_duration_statement": 100},
            pgbouncer_settings={"max_prepared_statements": 10},
            pglookout_settings={"max_failover_replication_time_lag": 60},
            timescaledb_settings={"max_background_workers": 8},
            synchronous_replication="off",
            shared_buffers_percentage=30,
            work_mem=8,
            variant="aiven",
        )
        found = api.get_dbaas_service_pg(name="all-pg")
        self.assertNotIn("not-shown-again-1", str(found))
        user = {"service_name": "all-pg", "username": "u"}
        api.create_dbaas_postgres_user(allow_replication=True, **user)
        api.reset_dbaas_postgres_user_password(password="chosen-by-hand-1", **user)
        shown = api.reveal_dbaas_postgres_user_password(**user)
        self.assertEqual(shown["password"], "chosen-by-hand-1")
        names = [u["username"] for u in api.get_dbaas_service_pg(name="all-pg")["users"]]
        self.assertIn("u", names)
        api.delete_dbaas_postgres_user(**user)
        api.update_dbaas_service_pg(
            name="all-pg",
            maintenance={"dow": "monday", "time": "04:00:00"},
            plan="startup-8",
        )
        self.assertEqual(api.get_dbaas_service_pg(name="all-pg")["plan"], "startup-8")
        self.assertTrue(api.list_dbaas_services()["dbaas-services"])
        api.delete_dbaas_service_pg(name="all-pg")

    def test_valkey(self):
        api = self.api
        api.create_dbaas_service_valkey(
            name="all-kv",
            plan="startup-4",
            ip_filter=["10.0.0.0/8"],
            termination_protection=False,
            maintenance={"dow": "never", "time": "03:00:00"},
            valkey_settings={"maxmemory_policy": "allkeys-lru", "timeout": 300},
        )
        access = {"commands": ["+get"], "keys": ["a*"], "categories": [], "channels": []}
        user = {"service_name": "all-kv", "username": "u"}
        api.create_dbaas_valkey_user(access_control=access, **user)
        listed = api.list_dbaas_valkey_users(service_name="all-kv")["users"]
        self.assertIn("u", [u["username"] for u in listed])
        api.reset_dbaas_valkey_user_password(password="chosen-by-hand-2", **user)
        shown = api.reveal_dbaas_valkey_user_password(**user)
        self.assertEqual(shown["password"], "chosen-by-hand-2")
        api.delete_dbaas_valkey_user(**user)
        api.update_dbaas_service_valkey(name="all-kv", ip_filter=["0.0.0.0/0"])
        self.assertEqual(
            api.get_dbaas_service_valkey(name="all-kv")["ip-filter"], ["0.0.0.0/0"]
        )
        api.delete_dbaas_service_valkey(name="all-kv")

    def test_types_and_authority(self):
        names = [
            t["name"] for t in self.api.list_dbaas_service_types()["dbaas-service-types"]
        ]
        for name in names:
            shown = self.api.get_dbaas_service_type(service_type_name=name)
            self.assertTrue(shown["plans"])
        self.assertTrue(self.api.get_dbaas_ca_certificate()["certificate"])


class TestAccess(Cloud):
    def test_role(self):
        api = self.api
        role = self.done(
            api.create_iam_role(
                name="r",
                description="d",
                labels=LABELS,
                editable=True,
                permissions=["bypass-governance-retention"],
                policy=POLICY,
                max_session_ttl=3600,
            )
        )
        self.done(api.update_iam_role(id=role, description="new", labels={}))
        self.done(
            api.update_iam_role_policy(
                id=role,
                default_service_strategy="deny",
                services=POLICY["services"],
            )
        )
        self.assertEqual(api.get_iam_role(id=role)["description"], "new")
        self.assertIn(role, [r["id"] for r in api.list_iam_roles()["iam-roles"]])
        key = api.create_api_key(name="k", role_id=role)["key"]
        self.assertEqual(api.get_api_key(id=key)["role-id"], role)
        self.assertIn(key, [k["key"] for k in api.list_api_keys()["api-keys"]])
        self.assertIsNone(self.done(api.delete_api_key(id=key)))
        self.refused(404, api.get_api_key, id=key)
        self.done(api.delete_iam_role(id=role))

    def test_organization_policy(self):
        api = self.api
        before = api.get_iam_organization_policy()
        api.wait(
            api.update_iam_organization_policy(
                default_service_strategy="allow", services={"dns": {"type": "deny"}}
            )["id"]
        )
        self.assertIn("dns", api.get_iam_organization_policy()["services"])
        api.wait(api.reset_iam_organization_policy()["id"])
        self.assertEqual(api.get_iam_organization_policy(), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)

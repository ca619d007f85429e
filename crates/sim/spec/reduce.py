"""Reduces the official OpenAPI document to the facts the simulator needs.

    python3 reduce.py PATH/TO/openapi.json > operations.json

Per operation: method, path, id, IAM service and the shape of the request
body (types, bounds, enums, required keys). Prose is left behind.
"""

import json
import sys

SERVICE = {
    "dbaas": "dbaas",
    "domain": "dns",
    "record": "dns",
    "role": "iam",
    "api-key": "iam",
    "organization-policy": "iam",
    "user": "iam",
    "organization": "iam",
    "sos": "sos",
    "kms-key": "kms",
    "crypto": "kms",
    "deployment": "ai",
    "model": "ai",
    "ai-api-key": "ai",
}
BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "enum", "nullable")
DEPTH = 5


def shape(spec, node, depth=0):
    """The part of a schema that a request can be refused for."""
    if "$ref" in node:
        name = node["$ref"].split("/")[-1]
        if name.startswith("json-schema-") or depth >= DEPTH:
            return {}
        if name == "dbaas-pg-target-versions":
            # An unsupported version is refused as a lack of permission, by
            # the handler, not as malformed.
            return {"type": "string"}
        return shape(spec, spec["components"]["schemas"][name], depth)
    if depth >= DEPTH:
        return {}
    out = {key: node[key] for key in BOUNDS if key in node}
    kind = node.get("type") or ("object" if "properties" in node else None)
    if kind:
        out["type"] = kind
    if node.get("format") == "uuid":
        out["format"] = "uuid"
    if "properties" in node:
        out["properties"] = {
            key: shape(spec, value, depth + 1)
            for key, value in sorted(node["properties"].items())
        }
        if node.get("required"):
            out["required"] = sorted(node["required"])
    if "items" in node:
        out["items"] = shape(spec, node["items"], depth + 1)
    if isinstance(node.get("additionalProperties"), dict):
        out["values"] = shape(spec, node["additionalProperties"], depth + 1)
    return out


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    lines = []
    for path, methods in sorted(spec["paths"].items()):
        for method, op in sorted(methods.items()):
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            tag = (op.get("tags") or ["compute"])[0]
            entry = {
                "id": op["operationId"],
                "method": method.upper(),
                "path": path,
                "service": SERVICE.get(tag, "compute"),
            }
            body = op.get("requestBody", {}).get("content", {}).get("application/json")
            if body:
                entry["body"] = shape(spec, body["schema"])
            lines.append(json.dumps(entry, sort_keys=True, separators=(",", ":")))
    print("[\n" + ",\n".join(lines) + "\n]")


main()

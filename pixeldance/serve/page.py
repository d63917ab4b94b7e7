"""The documentation page, written from the OpenAPI document: plain HTML that loads nothing from anywhere."""

import base64
import hashlib
import json
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; } h3 { font: 600 1rem ui-monospace, monospace; margin-bottom: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .2rem .8rem .2rem 0;
vertical-align: top; border-bottom: 1px solid #8884; } code { font-family: ui-monospace, monospace; }
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def page(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info, by_tag = document["info"], dict[str, list[str]]()
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            by_tag.setdefault((route.get("tags") or ["Other"])[0], []).append(_route(document, path, method, route))
    parts = [f"<h2>{escape(tag)}</h2>{''.join(routes)}" for tag, routes in by_tag.items()]
    title = escape(f"{info['title']} {info['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style><h1>{title}</h1>'
        f'<p>For programs: <a href="openapi.json">openapi.json</a></p>{"".join(parts)}</html>'
    )


def _route(document: dict[str, Any], path: str, method: str, route: dict[str, Any]) -> str:
    fields = [
        (each["name"], each["in"], each.get("schema", {}), each.get("description", ""))
        for each in route.get("parameters", [])
    ]
    bodies = list(route.get("requestBody", {}).get("content", {}).values())
    body = _followed(document, bodies[0]["schema"]) if bodies else {}
    fields += [
        (name, "body", schema, schema.get("description", "")) for name, schema in body.get("properties", {}).items()
    ]
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{place}<td>{escape(_kind(schema))}<td>{escape(text)}"
        for name, place, schema, text in fields
    )
    table = f"<table><tr><th>Field<th>In<th>Kind<th>{rows}</table>" if rows else ""
    return f"<h3>{method.upper()} {escape(path)}</h3><p>{escape(route.get('description', ''))}</p>{table}"


def _followed(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return document["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(kind for each in schema["anyOf"] if (kind := _kind(each)) != "null")
    if "enum" in schema:
        return " or ".join(map(json.dumps, schema["enum"]))
    limits = [f"{sign} {schema[name]}" for name, sign in LIMITS.items() if name in schema]
    return " ".join([schema.get("type") or schema.get("$ref", "").rpartition("/")[2], *limits])


LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}

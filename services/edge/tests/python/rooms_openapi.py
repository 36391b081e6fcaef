"""What schemathesis has to know of the rooms over HTTP beside their description: how lines of JSON are written, that each
line of an answer is what the description says of it, and that the description's own examples are what it says they are.
Named by SCHEMATHESIS_HOOKS; `tests/openapi.rs` runs it. With LINES=1 batches are made here; else they are its examples."""

import json
import os

import jsonschema_rs
import schemathesis
from hypothesis import strategies as st

NDJSON = "application/x-ndjson"
PROBLEM = "application/problem+json"
SCHEMAS = {}


@schemathesis.serializer(NDJSON)
def lines_as_they_are(ctx, value):
    if isinstance(value, bytes):
        return value
    # What is no text is not as described either: it is to be refused.
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def batches():
    text = st.text(max_size=40)
    optional = {
        "content_type": text,
        "idempotency_key": text,
        "headers": st.dictionaries(st.text("abcx-:\\\n", min_size=1, max_size=8), text, max_size=3),
    }
    of_text = st.fixed_dictionaries({"body": text}, optional=optional)
    octets = st.sampled_from(["", "/wA=", "AAECAw=="])
    of_octets = st.fixed_dictionaries({"body_base64": octets}, optional=optional)
    none = st.sampled_from(["{}", "nonsense", "[1]", '{"body":1}', '{"body":"x","sender":"eve"}', '{"body_base64":"?"}'])
    line = st.one_of(of_text.map(json.dumps), of_octets.map(json.dumps), none)
    return st.lists(line, max_size=5).map(lambda lines: "".join(f"{line}\n" for line in lines).encode())


if os.environ.get("LINES"):
    schemathesis.openapi.media_type(NDJSON, batches())


def validator(schema):
    return jsonschema_rs.Draft202012Validator({**schema, "components": {"schemas": SCHEMAS}})


def component(name):
    return {"$ref": f"#/components/schemas/{name}"}


@schemathesis.hook
def before_load_schema(ctx, schema):
    SCHEMAS.update(schema["components"]["schemas"])
    contents = [answer["content"] for answer in schema["components"]["responses"].values()]
    for operations in schema["paths"].values():
        for operation in operations.values():
            if isinstance(operation, dict):
                contents += [answer.get("content", {}) for answer in operation["responses"].values()]
    examples = [(kind, it) for content in contents for kind, it in content.items() if "example" in it]
    assert len(examples) > 10, examples
    for kind, it in examples:
        if kind == NDJSON:
            for line in it["example"].splitlines():
                validator(component("Answer")).validate(json.loads(line))
        else:
            validator(it["schema"]).validate(it["example"])


@schemathesis.check
def every_line_is_an_answer(ctx, response, case):
    if response.status_code == 200 and response.headers.get("content-type") == [NDJSON]:
        for line in response.content.decode().splitlines():
            validator(component("Answer")).validate(json.loads(line))


@schemathesis.check
def a_problem_agrees_with_its_status(ctx, response, case):
    if response.headers.get("content-type") == [PROBLEM] and response.content:
        problem = json.loads(response.content)
        assert problem["status"] == response.status_code, problem
        seconds = response.headers.get("retry-after")
        assert (int(seconds[0]) if seconds else None) == problem.get("retry_after"), problem

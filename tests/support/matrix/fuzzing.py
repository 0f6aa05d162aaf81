"""Requests and streams of every dialect, and what is nearly one: strategies for the fuzz."""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
Strategy = st.SearchStrategy

MODELS: Final = ("openai", "azure", "anthropic", "gemini", "bedrock", "scripted")
ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    2**63,
    "",
    "x",
    "\x00é\U0001f600",
    [],
    {},
    [None],
)
_TEXTS: Final = st.one_of(
    st.sampled_from(["hi", "", "scene:parallel", "scene:one_tool", "scene:json", "\ud800"]),
    st.text(max_size=20),
)
_NAMES: Final = st.sampled_from(["get_weather", "look", "", "a b", "x" * 80])
_IDS: Final = st.sampled_from(["call_1", "call_2", "", "toolu_ü"])
_JSON: Final = st.recursive(
    st.sampled_from(ODD[:10]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)
_SCHEMAS: Final = _JSON | st.just({"type": "object", "properties": {"city": {"type": "string"}}})
_NUMBERS: Final = st.sampled_from([0, 1, 0.5, 2, -3, 1e9, 2**40])
_FLAGS: Final = st.booleans()
_CACHE: Final = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])


def _odd(strategy: Strategy[T]) -> Strategy[Any]:
    """It, or now and then something that does not belong there."""
    return st.integers(0, 11).flatmap(lambda n: st.sampled_from(ODD) if n == 0 else strategy)


def _record(required: dict[str, Strategy[Any]], **optional: Strategy[Any]) -> Strategy[Any]:
    """Make an object, any of whose members may be odd, and one of which may be missing."""
    return st.fixed_dictionaries(
        {name: _odd(strategy) for name, strategy in required.items()},
        optional={name: _odd(strategy) for name, strategy in optional.items()},
    )


def _tagged(tag: str, word: str, **members: Strategy[Any]) -> Strategy[Any]:
    return _record({tag: st.just(word), **members})


_URLS: Final = st.sampled_from(
    [
        "https://example.org/a.png",
        "data:image/png;base64,aGk=",
        "data:image/bmp;base64,aGk=",
        "data:,x",
        "s3://bucket/a.png",
        "",
    ]
)
_MEDIA: Final = st.sampled_from(["image/png", "application/pdf", "text/plain", "x"])

# ---- OpenAI ----

_OPENAI_TOOL: Final = _tagged(
    "type",
    "function",
    function=_record({"name": _NAMES}, parameters=_SCHEMAS, strict=_FLAGS, description=_TEXTS),
)
_OPENAI_PART: Final = st.one_of(
    _tagged("type", "text", text=_TEXTS),
    _tagged("type", "image_url", image_url=_record({"url": _URLS}, detail=st.just("low"))),
    _tagged("type", "file", file=_record({}, file_data=_URLS, file_id=_IDS, filename=_TEXTS)),
    _tagged("type", "input_audio", input_audio=_record({"data": _IDS, "format": st.just("wav")})),
    _tagged("type", "novel", value=_JSON),
)
_OPENAI_CALL: Final = _tagged(
    "type",
    "function",
    id=_IDS,
    function=_record({"name": _NAMES, "arguments": st.sampled_from(["{}", "", '{"a":1}', "{x"])}),
)
_OPENAI_CONTENT: Final = _TEXTS | st.lists(_OPENAI_PART, max_size=3)
_OPENAI_MESSAGE: Final = st.one_of(
    _tagged("role", "system", content=_TEXTS),
    _tagged("role", "user", content=_OPENAI_CONTENT),
    _record(
        {"role": st.just("assistant"), "content": _TEXTS},
        tool_calls=st.lists(_OPENAI_CALL, max_size=2),
        reasoning_content=_TEXTS,
        refusal=_TEXTS,
    ),
    _tagged("role", "tool", tool_call_id=_IDS, content=_TEXTS),
    _tagged("role", "novel", content=_JSON),
)
_OPENAI_FORM: Final = _tagged(
    "type", "json_schema", json_schema=_record({"name": _NAMES}, schema=_SCHEMAS, strict=_FLAGS)
)
OPENAI: Final = _record(
    {
        "model": st.sampled_from([*MODELS, *(f"{name}-drop" for name in MODELS)]),
        "messages": st.lists(_OPENAI_MESSAGE, min_size=1, max_size=4),
    },
    stream=_FLAGS,
    stream_options=_record({}, include_usage=_FLAGS),
    tools=st.lists(_OPENAI_TOOL | _tagged("type", "novel", value=_JSON), max_size=2),
    tool_choice=st.sampled_from(["auto", "none", "required"])
    | _tagged("type", "function", function=_record({"name": _NAMES})),
    response_format=_tagged(
        "type", "json_schema", json_schema=_record({"name": _NAMES}, schema=_SCHEMAS)
    )
    | st.just({"type": "json_object"}),
    temperature=_NUMBERS,
    top_p=_NUMBERS,
    n=_NUMBERS,
    stop=_TEXTS | st.lists(_TEXTS, max_size=6),
    max_tokens=_NUMBERS,
    max_completion_tokens=_NUMBERS,
    seed=_NUMBERS,
    logprobs=_FLAGS,
    top_logprobs=_NUMBERS,
    reasoning_effort=st.sampled_from(["none", "low", "high", "xhigh", "odd"]),
    parallel_tool_calls=_FLAGS,
    user=_TEXTS,
    service_tier=_NAMES,
    novel=_JSON,
)

# ---- Anthropic ----

_SOURCE: Final = st.one_of(
    _tagged("type", "base64", media_type=_MEDIA, data=_IDS),
    _tagged("type", "url", url=_URLS),
    _tagged("type", "file", file_id=_IDS),
    _tagged("type", "novel", value=_JSON),
)
_ANTHROPIC_BLOCK: Final = st.one_of(
    _record({"type": st.just("text"), "text": _TEXTS}, cache_control=_CACHE),
    _tagged("type", "image", source=_SOURCE),
    _record({"type": st.just("document"), "source": _SOURCE}, title=_TEXTS, context=_TEXTS),
    _tagged("type", "tool_use", id=_IDS, name=_NAMES, input=_JSON),
    _record(
        {"type": st.just("tool_result"), "tool_use_id": _IDS},
        content=_TEXTS | st.lists(_tagged("type", "image", source=_SOURCE), max_size=2),
        is_error=_FLAGS,
    ),
    _tagged("type", "thinking", thinking=_TEXTS, signature=st.sampled_from(["c2ln", "gemini:x"])),
    _tagged("type", "redacted_thinking", data=_IDS),
    _tagged("type", "novel", value=_JSON),
)
_ANTHROPIC_TOOL: Final = st.one_of(
    _record({"name": _NAMES, "input_schema": _SCHEMAS}, description=_TEXTS, cache_control=_CACHE),
    _tagged("type", "web_search_20250305", name=_NAMES),
)
ANTHROPIC: Final = _record(
    {
        "model": st.sampled_from([*MODELS, *(f"{name}-drop" for name in MODELS)]),
        "max_tokens": st.sampled_from([1, 300]),
        "messages": st.lists(
            _record(
                {
                    "role": st.sampled_from(["user", "assistant", "user", "novel"]),
                    "content": _TEXTS | st.lists(_ANTHROPIC_BLOCK, max_size=3),
                }
            ),
            min_size=1,
            max_size=4,
        ),
    },
    system=_TEXTS | st.lists(_ANTHROPIC_BLOCK, max_size=2),
    stream=_FLAGS,
    tools=st.lists(_ANTHROPIC_TOOL, max_size=2),
    tool_choice=_record({"type": st.sampled_from(["auto", "any", "none", "tool"])}, name=_NAMES),
    thinking=_record({"type": st.sampled_from(["enabled", "adaptive"])}, budget_tokens=_NUMBERS),
    output_config=_record(
        {}, format=_tagged("type", "json_schema", schema=_SCHEMAS), effort=_NAMES, novel=_JSON
    ),
    temperature=_NUMBERS,
    top_k=_NUMBERS,
    stop_sequences=st.lists(_TEXTS, max_size=6),
    metadata=_record({}, user_id=_TEXTS),
    cache_control=_CACHE,
    service_tier=_NAMES,
    novel=_JSON,
)

# ---- Responses ----

_RESPONSES_PART: Final = st.one_of(
    _tagged("type", "input_text", text=_TEXTS),
    _tagged("type", "input_image", image_url=_URLS, detail=st.just("auto")),
    _tagged("type", "input_file", file_data=_URLS, filename=_TEXTS),
    _tagged("type", "output_text", text=_TEXTS, annotations=_JSON),
    _tagged("type", "novel", value=_JSON),
)
_RESPONSES_ITEM: Final = st.one_of(
    _record(
        {
            "role": st.sampled_from(["user", "assistant", "system", "novel"]),
            "content": _TEXTS | st.lists(_RESPONSES_PART, max_size=3),
        },
        type=st.just("message"),
    ),
    _tagged("type", "function_call", call_id=_IDS, name=_NAMES, arguments=_TEXTS),
    _tagged("type", "function_call_output", call_id=_IDS, output=_TEXTS),
    _tagged("type", "reasoning", id=_IDS, summary=_JSON, encrypted_content=_IDS),
    _tagged("type", "item_reference", id=_IDS),
    _tagged("type", "novel", value=_JSON),
)
_RESPONSES_TOOL: Final = st.one_of(
    _tagged("type", "function", name=_NAMES, parameters=_SCHEMAS, strict=_FLAGS),
    _tagged("type", "web_search"),
    _tagged("type", "custom", name=_NAMES),
)
RESPONSES: Final = _record(
    {
        "model": st.sampled_from([*MODELS, *(f"{name}-drop" for name in MODELS)]),
        "input": _TEXTS | st.lists(_RESPONSES_ITEM, min_size=1, max_size=4),
    },
    instructions=_TEXTS,
    stream=_FLAGS,
    store=_FLAGS,
    background=_FLAGS,
    previous_response_id=_IDS,
    include=st.lists(st.sampled_from(["reasoning.encrypted_content", "novel"]), max_size=2),
    tools=st.lists(_RESPONSES_TOOL, max_size=2),
    tool_choice=st.sampled_from(["auto", "none", "required"])
    | _tagged("type", "function", name=_NAMES),
    text=_record({}, format=_tagged("type", "json_schema", name=_NAMES, schema=_SCHEMAS)),
    reasoning=_record({}, effort=_NAMES, summary=_NAMES),
    temperature=_NUMBERS,
    top_p=_NUMBERS,
    top_logprobs=_NUMBERS,
    max_output_tokens=_NUMBERS,
    parallel_tool_calls=_FLAGS,
    truncation=_NAMES,
    metadata=_JSON,
    user=_TEXTS,
    service_tier=_NAMES,
    novel=_JSON,
)

# ---- what is no conversation ----

_PROMPTS: Final = st.one_of(
    _TEXTS,
    st.lists(_TEXTS, max_size=3),
    st.lists(st.integers(0, 9), max_size=3),
    st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=3),
)


def bodies(models: Strategy[str]) -> dict[str, Strategy[Any]]:
    """Give requests in JSON by the paths that take them."""
    picture = {
        "n": _NUMBERS,
        "size": _NAMES,
        "stream": _FLAGS,
        "partial_images": _NUMBERS,
        "novel": _JSON,
    }
    return {
        "/v1/embeddings": _record(
            {"model": models, "input": _PROMPTS},
            encoding_format=st.sampled_from(["float", "base64", "novel"]),
            dimensions=_NUMBERS,
            user=_TEXTS,
            novel=_JSON,
        ),
        "/v1/completions": _record(
            {"model": models, "prompt": _PROMPTS},
            suffix=_TEXTS,
            max_tokens=_NUMBERS,
            n=_NUMBERS,
            best_of=_NUMBERS,
            echo=_FLAGS,
            logprobs=_NUMBERS,
            stream=_FLAGS,
            stream_options=_record({}, include_usage=_FLAGS),
            stop=_PROMPTS,
            temperature=_NUMBERS,
            novel=_JSON,
        ),
        "/v1/moderations": _record({"model": models, "input": _PROMPTS}, novel=_JSON),
        "/v1/audio/speech": _record(
            {"model": models, "input": _TEXTS, "voice": _NAMES},
            stream_format=st.sampled_from(["sse", "audio", "novel"]),
            speed=_NUMBERS,
            novel=_JSON,
        ),
        "/v1/images/generations": _record({"model": models, "prompt": _TEXTS}, **picture),
        "/v1/images/edits": _record(
            {"model": models, "prompt": _TEXTS, "images": _JSON}, **picture
        ),
    }


# ---- bytes ----


def encoded(value: Any) -> bytes:
    """Write a value as JSON, as a careless client does: `NaN`, lone surrogates and all."""
    return json.dumps(value).encode()


@st.composite
def mutated(draw: st.DrawFn, data: bytes, *, most: int = 3) -> bytes:
    """Change a few bytes: cut some out, put some in twice, or put in others."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, most))):
        at = draw(st.integers(0, max(len(changed) - 1, 0)))
        length = draw(st.integers(1, 40))
        match draw(st.sampled_from(["cut", "twice", "other", "end"])):
            case "cut":
                del changed[at : at + length]
            case "twice":
                changed[at:at] = changed[at : at + length]
            case "other":
                changed[at : at + 1] = draw(st.binary(max_size=4))
            case _:
                del changed[at:]
    return bytes(changed)

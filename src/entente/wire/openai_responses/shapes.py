"""What the objects inside of a Responses request have in them, for who refuses all else. Pure.

Items and tools of the vendor's own are known by the names of their members, and not looked
into any further: only the vendor runs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entente.wire.shapes import Kinds, Shape, kinds, shape

_BREAKPOINT: Final = shape("mode")
_CALLER: Final = kinds(direct=shape(), program=shape("caller_id"))
_INPUT_TEXT: Final = shape("text", prompt_cache_breakpoint=_BREAKPOINT)
_INPUT_IMAGE: Final = shape(
    *("image_url", "file_id", "detail"), prompt_cache_breakpoint=_BREAKPOINT
)
_INPUT_FILE: Final = shape(
    *("file_id", "filename", "file_data", "file_url", "detail"),
    prompt_cache_breakpoint=_BREAKPOINT,
)
_GIVEN: Final = kinds(input_text=_INPUT_TEXT, input_image=_INPUT_IMAGE, input_file=_INPUT_FILE)
_CONTENT: Final = kinds(
    input_text=_INPUT_TEXT,
    input_image=_INPUT_IMAGE,
    input_file=_INPUT_FILE,
    input_audio=shape(input_audio=shape("data", "format")),
    output_text=shape("text", "annotations", "logprobs"),
    refusal=shape("refusal"),
)
_ITEM: Final = kinds(
    usual="message",
    message=shape("id", "role", "phase", "status", content=_CONTENT),
    item_reference=shape("id"),
    function_call=shape(
        *("id", "call_id", "namespace", "name", "arguments", "status"), caller=_CALLER
    ),
    function_call_output=shape(
        *("id", "call_id", "name", "namespace", "status"), output=_GIVEN, caller=_CALLER
    ),
    custom_tool_call=shape(
        *("id", "call_id", "namespace", "name", "input", "status"), caller=_CALLER
    ),
    custom_tool_call_output=shape("id", "call_id", "status", output=_GIVEN, caller=_CALLER),
    reasoning=shape(
        *("id", "encrypted_content", "status"),
        summary=kinds(summary_text=shape("text")),
        content=kinds(reasoning_text=shape("text")),
    ),
    file_search_call=shape("id", "status", "queries", "results"),
    computer_call=shape("id", "call_id", "action", "actions", "pending_safety_checks", "status"),
    computer_call_output=shape("id", "call_id", "output", "acknowledged_safety_checks", "status"),
    web_search_call=shape("id", "status", "action"),
    tool_search_call=shape("id", "call_id", "execution", "arguments", "status"),
    tool_search_output=shape("id", "call_id", "execution", "tools", "status"),
    additional_tools=shape("id", "role", "tools"),
    compaction=shape("id", "encrypted_content", "created_by"),
    image_generation_call=shape(
        *("id", "status", "result", "action", "background", "output_format", "quality", "size"),
        "revised_prompt",
    ),
    code_interpreter_call=shape("id", "status", "container_id", "code", "outputs"),
    local_shell_call=shape("id", "call_id", "action", "status"),
    local_shell_call_output=shape("id", "call_id", "output", "status"),
    shell_call=shape(
        *("id", "call_id", "action", "status", "environment", "created_by"), caller=_CALLER
    ),
    shell_call_output=shape(
        *("id", "call_id", "output", "status", "max_output_length", "created_by"), caller=_CALLER
    ),
    apply_patch_call=shape(*("id", "call_id", "status", "operation", "created_by"), caller=_CALLER),
    apply_patch_call_output=shape(
        *("id", "call_id", "status", "output", "created_by"), caller=_CALLER
    ),
    mcp_list_tools=shape("id", "server_label", "tools", "error"),
    mcp_approval_request=shape("id", "server_label", "name", "arguments"),
    mcp_approval_response=shape("id", "approval_request_id", "approve", "reason"),
    mcp_call=shape(
        *("id", "server_label", "name", "arguments", "output", "error", "status"),
        "approval_request_id",
    ),
)
_SEARCH: Final = shape(
    "external_web_access", "filters", "user_location", "search_context_size", "search_content_types"
)
_GRAMMAR: Final = kinds(text=shape(), grammar=shape("syntax", "definition"))
_TOOL: Final = kinds(
    function=shape(
        *("name", "description", "parameters", "output_schema", "strict", "defer_loading"),
        "allowed_callers",
    ),
    custom=shape("name", "description", "defer_loading", "allowed_callers", format=_GRAMMAR),
    namespace=shape("name", "description", "tools"),
    file_search=shape("vector_store_ids", "max_num_results", "ranking_options", "filters"),
    computer=shape(),
    computer_use_preview=shape("environment", "display_width", "display_height"),
    web_search=_SEARCH,
    web_search_2025_08_26=_SEARCH,
    web_search_preview=_SEARCH,
    web_search_preview_2025_03_11=_SEARCH,
    mcp=shape(
        *("server_label", "server_url", "connector_id", "tunnel_id", "authorization", "headers"),
        *("server_description", "allowed_tools", "allowed_callers", "require_approval"),
        "defer_loading",
    ),
    code_interpreter=shape("container", "allowed_callers"),
    programmatic_tool_calling=shape(),
    image_generation=shape(
        *("model", "quality", "size", "output_format", "output_compression", "moderation"),
        *("background", "input_fidelity", "partial_images", "action"),
        input_image_mask=shape("image_url", "file_id"),
    ),
    local_shell=shape(),
    shell=shape("environment", "allowed_callers"),
    tool_search=shape("execution", "description", "parameters"),
    apply_patch=shape("allowed_callers"),
)

SHAPES: Final[Mapping[str, Shape | Kinds]] = {
    "input": _ITEM,
    "tools": _TOOL,
    "tool_choice": kinds(
        allowed_tools=shape("mode", "tools"),
        function=shape("name"),
        custom=shape("name"),
        mcp=shape("server_label", "name"),
    ),
    "text": shape(
        "verbosity",
        format=kinds(
            text=shape(),
            json_object=shape(),
            json_schema=shape("name", "description", "schema", "strict"),
        ),
    ),
    "reasoning": shape("effort", "summary", "mode", "context", "generate_summary"),
    "stream_options": shape("include_obfuscation"),
    "prompt": shape("id", "version", "variables"),
    "prompt_cache_options": shape("mode", "ttl", "comparison_response_id"),
    "moderation": shape("model", policy=shape(input=shape("mode"), output=shape("mode"))),
    "context_management": shape("type", "compact_threshold"),
}
"""By parameter."""

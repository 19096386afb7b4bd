//! ComfyUI's graphs: `prompt` as it was run, `workflow` as it was drawn.
//!
//! Settings are taken from the inputs of nodes, the first of each kind in the order of the text. Of the graph itself
//! only a digest of the sorted types of its nodes is kept, which is equal for pictures of one workflow.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::{GenMeta, Tool};
use crate::json::{Json, Value};

/// The most values of a graph.
const VALUES_MAX: u32 = 200_000;
/// Domain of the digest of a workflow.
const WORKFLOW_TAG: &[u8] = b"hashpact/workflow/v1\0";
/// The longest type of a node.
const TYPE_MAX_BYTES: usize = 256;

/// Reads either graph.
pub(crate) fn read(text: &str, found: &mut GenMeta) {
    if let Ok(graph) = Json::parse(text, VALUES_MAX) {
        read_value(&graph, found);
    }
}

/// Reads either graph as a tree.
pub(crate) fn read_value(graph: &Value<'_>, found: &mut GenMeta) {
    let mut types = BTreeSet::new();
    if let Some(nodes) = graph.get("nodes") {
        types.extend(nodes.items().iter().filter_map(|node| node.get("type")?.text()));
    } else {
        for (_, node) in graph.members() {
            let Some(kind) = node.get("class_type").and_then(Value::text) else { continue };
            types.insert(kind);
            if let Some(inputs) = node.get("inputs") {
                settings(inputs, found);
            }
        }
    }
    types.retain(|kind| kind.len() <= TYPE_MAX_BYTES);
    if types.is_empty() {
        return;
    }
    found.set_tool(Tool::ComfyUi, None);
    let mut digest = Sha256::new_with_prefix(WORKFLOW_TAG);
    for kind in types {
        digest.update(kind.as_bytes());
        digest.update(b"\n");
    }
    found.workflow.get_or_insert(digest.finalize().into());
}

fn settings(inputs: &Value<'_>, found: &mut GenMeta) {
    let number = |key: &str| inputs.get(key).and_then(Value::number);
    let text = |key: &str| inputs.get(key).and_then(Value::text);
    number("steps").into_iter().for_each(|n| found.set_steps(n));
    number("cfg").into_iter().for_each(|n| found.set_cfg(n));
    number("denoise").into_iter().for_each(|n| found.set_denoise(n));
    number("stop_at_clip_layer").into_iter().for_each(|n| found.set_clip_skip(-n));
    text("sampler_name").into_iter().for_each(|name| found.set_sampler(name));
    text("scheduler").into_iter().for_each(|name| found.set_scheduler(name));
    if let (Some(width), Some(height)) = (number("width"), number("height")) {
        found.set_size(width, height);
    }
}

//! Tools that write their settings as JSON: InvokeAI, Fooocus, SwarmUI, NovelAI, Draw Things, Easy Diffusion, TensorArt, and
//! ComfyUI in a JPEG.

use super::{GenMeta, ResourceKind, Tool, comfy};
use crate::json::{Json, Value};

/// The most values of a text.
const VALUES_MAX: u32 = 200_000;

/// Keys under which tools write one setting; the first that is there counts.
const STEPS: &[&str] = &["steps", "num_inference_steps", "Steps"];
const CFG: &[&str] =
    &["cfg_scale", "cfgscale", "cfgScale", "guidance_scale", "Guidance Scale", "scale", "cfg"];
const SAMPLER: &[&str] = &["sampler", "sampler_name", "samplerName", "Sampler"];
const SCHEDULER: &[&str] = &["noise_schedule", "scheduler"];
const DENOISE: &[&str] = &[
    "strength",
    "denoise",
    "denoising_strength",
    "denoisingStrength",
    "initimagecreativity",
    "prompt_strength",
    "Prompt Strength",
];
const CLIP_SKIP: &[&str] = &["clip_skip", "clipSkip", "Clip Skip"];

fn first<'v, 'a>(value: &'v Value<'a>, keys: &[&str]) -> Option<&'v Value<'a>> {
    keys.iter().find_map(|key| value.get(key))
}

/// Reads JSON of a tool that is told by its keys.
pub(crate) fn read(text: &str, found: &mut GenMeta) {
    let Ok(value) = Json::parse(text, VALUES_MAX) else { return };
    if let Some(params) = value.get("sui_image_params") {
        swarm(&value, params, found);
    } else if value.get("metadata_scheme").is_some() || value.get("base_model_hash").is_some() {
        fooocus(&value, found);
    } else if first(&value, &["use_stable_diffusion_model", "Stable Diffusion model"]).is_some() {
        found.set_tool(Tool::EasyDiffusion, None);
        numbers(&value, found);
        words(&value, found);
    } else if let (Some(software), Some(comment)) = (software_of_novelai(&value), value.get("Comment")) {
        // Where there is but one text, as in WebP, the texts of its PNG files stand in it as one object.
        if let Some(comment) = comment.text() {
            novelai(comment, Some(software), found);
        }
    } else if value.members().iter().any(|(_, node)| node.get("class_type").is_some()) {
        comfy::read_value(&value, found);
    } else if let Some(graph) = value.get("prompt").filter(|graph| !graph.members().is_empty()) {
        // Some savers put both graphs into one object.
        if graph.members().iter().any(|(_, node)| node.get("class_type").is_some()) {
            comfy::read_value(graph, found);
        }
    } else if let Some(graph) = value.get("prompt").and_then(Value::text) {
        // And some as texts.
        if graph.starts_with('{') && graph.contains("\"class_type\"") {
            comfy::read(graph, found);
        }
    }
}

fn software_of_novelai<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    value.get("Software").and_then(Value::text).filter(|software| software.starts_with("NovelAI"))
}

fn numbers(value: &Value<'_>, found: &mut GenMeta) {
    let number = |keys: &[&str]| first(value, keys).and_then(Value::number);
    number(STEPS).into_iter().for_each(|n| found.set_steps(n));
    number(CFG).into_iter().for_each(|n| found.set_cfg(n));
    number(DENOISE).into_iter().for_each(|n| found.set_denoise(n));
    number(CLIP_SKIP).into_iter().for_each(|n| found.set_clip_skip(n));
    if let (Some(width), Some(height)) = (number(&["width"]), number(&["height"])) {
        found.set_size(width, height);
    }
}

fn words(value: &Value<'_>, found: &mut GenMeta) {
    if let Some(name) = first(value, SAMPLER).and_then(Value::text) {
        found.set_sampler(name);
    }
    if let Some(name) = first(value, SCHEDULER).and_then(Value::text) {
        found.set_scheduler(name);
    }
}

/// Adds the digest of a model that is described by an object, or is a digest itself.
fn resource(value: Option<&Value<'_>>, kind: ResourceKind, found: &mut GenMeta) {
    let digest =
        value.and_then(|value| value.text().or_else(|| first(value, &["hash", "model_hash"])?.text()));
    if let Some(digest) = digest {
        found.add_resource(kind, digest);
    }
}

/// InvokeAI, from version 2 on.
pub(crate) fn invoke(text: &str, found: &mut GenMeta) {
    let Ok(value) = Json::parse(text, VALUES_MAX) else { return };
    found.set_tool(Tool::InvokeAi, value.get("app_version").and_then(Value::text));
    let settings = value.get("image").unwrap_or(&value);
    numbers(settings, found);
    // Its schedulers are samplers to everybody else.
    if let Some(name) = first(settings, &["scheduler", "sampler"]).and_then(Value::text) {
        found.set_sampler(name);
    }
    resource(value.get("model"), ResourceKind::Model, found);
    resource(value.get("model_hash"), ResourceKind::Model, found);
    resource(value.get("vae"), ResourceKind::Vae, found);
    for lora in value.get("loras").map_or(&[][..], Value::items) {
        resource(first(lora, &["model", "lora"]), ResourceKind::Lora, found);
    }
}

fn fooocus(value: &Value<'_>, found: &mut GenMeta) {
    found.set_tool(Tool::Fooocus, value.get("version").and_then(Value::text));
    numbers(value, found);
    words(value, found);
    resource(value.get("base_model_hash"), ResourceKind::Model, found);
    resource(value.get("refiner_model_hash"), ResourceKind::Model, found);
    for lora in value.get("loras").map_or(&[][..], Value::items) {
        // Name, weight, digest.
        resource(lora.items().get(2), ResourceKind::Lora, found);
    }
}

fn swarm(value: &Value<'_>, params: &Value<'_>, found: &mut GenMeta) {
    found.set_tool(Tool::SwarmUi, params.get("swarm_version").and_then(Value::text));
    numbers(params, found);
    words(params, found);
    for model in value.get("sui_models").map_or(&[][..], Value::items) {
        let kind = match model.get("param").and_then(Value::text) {
            Some("model") => ResourceKind::Model,
            Some("loras") => ResourceKind::Lora,
            Some("vae") => ResourceKind::Vae,
            Some("used_embeddings") => ResourceKind::Embedding,
            _ => ResourceKind::Other,
        };
        resource(Some(model), kind, found);
    }
}

/// NovelAI; `software` is another text of the same file.
pub(crate) fn novelai(text: &str, software: Option<&str>, found: &mut GenMeta) {
    let Ok(value) = Json::parse(text, VALUES_MAX) else { return };
    found.set_tool(Tool::NovelAi, software);
    numbers(&value, found);
    words(&value, found);
}

/// Draw Things; it names models by their files alone.
pub(crate) fn draw_things(text: &str, found: &mut GenMeta) {
    found.set_tool(Tool::DrawThings, None);
    let Ok(value) = Json::parse(text, VALUES_MAX) else { return };
    numbers(&value, found);
    words(&value, found);
    let size = value.get("size").and_then(Value::text).and_then(|size| size.split_once('x'));
    if let Some((width, height)) = size
        && let (Ok(width), Ok(height)) = (width.parse::<u32>(), height.parse::<u32>())
    {
        found.set_size(width.into(), height.into());
    }
}

/// TensorArt's generator.
pub(crate) fn tensorart(text: &str, found: &mut GenMeta) {
    let Ok(value) = Json::parse(text, VALUES_MAX) else { return };
    if first(&value, &["baseModel", "models"]).is_none() {
        return;
    }
    found.set_tool(Tool::TensorArt, None);
    numbers(&value, found);
    words(&value, found);
    resource(value.get("baseModel"), ResourceKind::Model, found);
    for model in value.get("models").map_or(&[][..], Value::items) {
        let kind = match model.get("type").and_then(Value::text) {
            Some("CHECKPOINT" | "BASE_MODEL") => ResourceKind::Model,
            Some("LORA" | "LOCON" | "LYCORIS") => ResourceKind::Lora,
            Some("EMBEDDING" | "TEXTUAL_INVERSION") => ResourceKind::Embedding,
            Some("VAE") => ResourceKind::Vae,
            _ => ResourceKind::Other,
        };
        resource(Some(model), kind, found);
    }
}

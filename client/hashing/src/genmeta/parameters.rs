//! The settings line of A1111 and its relatives: prompts on the lines before, then
//! `Steps: 20, Sampler: Euler a, CFG scale: 7, …, Model hash: 6ce0161689, Version: v1.6.0`.
//!
//! Only the last line that begins with `Steps: ` is looked at, so no prompt is ever split into settings. Values end
//! at a comma, unless they are texts in quotes or JSON; the scanner goes over the line once.

use super::{GenMeta, ResourceKind, Tool};
use crate::json::Json;

/// The longest line of settings.
const LINE_MAX_BYTES: usize = 64 * 1024;
/// The most settings of a line.
const SETTINGS_MAX: usize = 512;
/// The most values in the JSON of one setting.
const VALUES_MAX: u32 = 1024;

/// Reads a whole text.
pub(crate) fn read(text: &str, found: &mut GenMeta) {
    let Some(line) = text.lines().rev().find(|line| line.trim_start().starts_with("Steps: ")) else { return };
    if line.len() > LINE_MAX_BYTES {
        return;
    }
    let (mut is_sdnext, mut is_civitai, mut version, mut size) = (false, false, None, None);
    for (key, value) in Settings(line.trim_start()).take(SETTINGS_MAX) {
        match key {
            "Steps" => number(value).into_iter().for_each(|n| found.set_steps(n)),
            "Sampler" => found.set_sampler(value),
            "Schedule type" | "Scheduler" => found.set_scheduler(value),
            "CFG scale" | "Distilled CFG Scale" => number(value).into_iter().for_each(|n| found.set_cfg(n)),
            "Denoising strength" => number(value).into_iter().for_each(|n| found.set_denoise(n)),
            "Clip skip" => number(value).into_iter().for_each(|n| found.set_clip_skip(n)),
            "Size" => size = value.split_once('x').and_then(|(w, h)| Some((number(w)?, number(h)?))),
            "Model hash" => found.add_resource(ResourceKind::Model, value),
            "VAE hash" => found.add_resource(ResourceKind::Vae, value),
            "Lora hashes" => named(value, ResourceKind::Lora, found),
            "TI hashes" => named(value, ResourceKind::Embedding, found),
            "Hashes" => hashes(value, found),
            "App" => is_sdnext = value.starts_with("SD.Next"),
            "Civitai resources" => is_civitai = true,
            "Version" => version = Some(value),
            _ => {}
        }
    }
    if let Some((width, height)) = size {
        found.set_size(width, height);
    }
    let tool = match version {
        _ if is_sdnext => Tool::SdNext,
        Some(version) => tool_of(version),
        // The hub names itself in no other way; who has uploaded a picture of a tool of their own has its version too.
        None if is_civitai => Tool::Civitai,
        None => Tool::A1111,
    };
    found.set_tool(tool, version);
}

/// The program that calls its version so.
fn tool_of(version: &str) -> Tool {
    // `f2.0.1v1.10.1`; a commit may begin with f and a digit, too.
    let is_release = |rest: &str| rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('.');
    match version {
        _ if version.starts_with("Fooocus") => Tool::Fooocus,
        _ if version.starts_with("ComfyUI") => Tool::ComfyUi,
        _ if version.starts_with("neo") || version.to_ascii_lowercase().contains("forge") => Tool::Forge,
        _ if version.strip_prefix(['f', 'F']).is_some_and(is_release) => Tool::Forge,
        _ => Tool::A1111,
    }
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.len() > 16 { None } else { text.parse().ok().filter(|number: &f64| number.is_finite()) }
}

/// `name: digest, name: digest`, perhaps in quotes. Names are not kept.
fn named(value: &str, kind: ResourceKind, found: &mut GenMeta) {
    for part in value.trim_matches('"').split(',').take(SETTINGS_MAX) {
        if let Some((_, digest)) = part.rsplit_once(':') {
            found.add_resource(kind, digest);
        }
    }
}

/// `{"model": "…", "lora:name": "…", "embed:name": "…", "vae": "…"}`.
fn hashes(value: &str, found: &mut GenMeta) {
    let Ok(value) = Json::parse(value, VALUES_MAX) else { return };
    for (key, digest) in value.members() {
        let kind = match key.split(':').next().unwrap_or_default() {
            "model" => ResourceKind::Model,
            "lora" => ResourceKind::Lora,
            "embed" => ResourceKind::Embedding,
            "vae" => ResourceKind::Vae,
            _ => ResourceKind::Other,
        };
        if let Some(digest) = digest.text() {
            found.add_resource(kind, digest);
        }
    }
}

/// The pairs of a line.
struct Settings<'t>(&'t str);

impl<'t> Iterator for Settings<'t> {
    type Item = (&'t str, &'t str);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = self.0.split_once(':')?;
        let rest = rest.trim_start();
        let length = match rest.as_bytes().first() {
            Some(b'"' | b'{' | b'[') => {
                let mut json = Json::new(rest, 0);
                match json.skip() {
                    Ok(()) => json.position(),
                    Err(_) => rest.find(',').unwrap_or(rest.len()),
                }
            }
            _ => rest.find(',').unwrap_or(rest.len()),
        };
        let (value, after) = rest.split_at(length);
        self.0 = after.split_once(',').map_or("", |(_, next)| next);
        Some((key.trim(), value.trim()))
    }
}

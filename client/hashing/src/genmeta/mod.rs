//! What a picture file itself says about how it was made.
//!
//! Generators write their settings into the files that they save. This reads the containers PNG, JPEG and WebP
//! without decoding a pixel, and of what stands there keeps only what a consortium may share: which tool, which
//! models by their digests, a few settings, and marks of provenance. The result has no field that could hold a
//! prompt or a word of it, a file name, a seed, a place, a name, a serial number or a thumbnail: every field is a
//! number in bounds, a word of a fixed list, or digits of a digest.
//!
//! It is the file's own statement and can be forged or removed: it links records, and proves nothing about how a
//! picture was made.
//!
//! Every text here is a stranger's. Scanners are written by hand and go over a text a fixed number of times; sizes,
//! counts and depths are bounded, and what cannot be read is left out.

mod comfy;
mod exif;
mod jpeg;
mod json_tools;
mod parameters;
mod png;
mod vocabulary;
mod webp;
mod xmp;

use std::collections::BTreeSet;

pub use self::vocabulary::{SAMPLERS, SCHEDULERS, SOURCE_TYPES};

/// The longest text of a file that is looked at; also the most that a compressed one may become.
pub(crate) const TEXT_MAX_BYTES: usize = 4 << 20;
/// The most texts of a file.
pub(crate) const TEXTS_MAX: usize = 64;
/// The most bytes of texts of a file together.
pub(crate) const TEXTS_MAX_BYTES: usize = 8 << 20;
/// The most digests of models that are kept.
const RESOURCES_MAX: usize = 64;

/// The format of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    WebP,
}

impl Container {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::WebP => "webp",
        }
    }
}

/// Where in a file something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carrier {
    /// A text of a PNG file.
    PngText,
    /// A comment of a JPEG file.
    JpegComment,
    /// EXIF.
    Exif,
    /// XMP.
    Xmp,
    /// A C2PA manifest.
    C2pa,
}

impl Carrier {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PngText => "png_text",
            Self::JpegComment => "jpeg_comment",
            Self::Exif => "exif",
            Self::Xmp => "xmp",
            Self::C2pa => "c2pa",
        }
    }
}

/// The program that wrote the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// AUTOMATIC1111's web interface.
    A1111,
    /// Its relative Forge.
    Forge,
    /// SD.Next.
    SdNext,
    /// ComfyUI.
    ComfyUi,
    /// InvokeAI.
    InvokeAi,
    /// Fooocus.
    Fooocus,
    /// SwarmUI.
    SwarmUi,
    /// NovelAI.
    NovelAi,
    /// Draw Things.
    DrawThings,
    /// Easy Diffusion.
    EasyDiffusion,
    /// The generator of the hub Civitai.
    Civitai,
    /// The generator of the hub TensorArt.
    TensorArt,
}

impl Tool {
    /// Every program that is told.
    pub const ALL: [Self; 12] = [
        Self::A1111,
        Self::Forge,
        Self::SdNext,
        Self::ComfyUi,
        Self::InvokeAi,
        Self::Fooocus,
        Self::SwarmUi,
        Self::NovelAi,
        Self::DrawThings,
        Self::EasyDiffusion,
        Self::Civitai,
        Self::TensorArt,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A1111 => "a1111",
            Self::Forge => "forge",
            Self::SdNext => "sdnext",
            Self::ComfyUi => "comfyui",
            Self::InvokeAi => "invokeai",
            Self::Fooocus => "fooocus",
            Self::SwarmUi => "swarmui",
            Self::NovelAi => "novelai",
            Self::DrawThings => "draw_things",
            Self::EasyDiffusion => "easy_diffusion",
            Self::Civitai => "civitai",
            Self::TensorArt => "tensorart",
        }
    }
}

/// What a digest is said to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// A checkpoint.
    Model,
    /// A LoRA or its kin.
    Lora,
    /// A textual inversion.
    Embedding,
    /// A VAE.
    Vae,
    /// Something else.
    Other,
}

impl ResourceKind {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Lora => "lora",
            Self::Embedding => "embedding",
            Self::Vae => "vae",
            Self::Other => "other",
        }
    }
}

/// A model that the file names by a digest. Always a claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// What it is said to be.
    pub kind: ResourceKind,
    /// Which identifier, as in [`crate::models::identifiers`].
    pub identifier: &'static str,
    /// Lower-case hexadecimal digits: 8, 10, 12 or 64.
    pub hex: String,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenMeta {
    /// Its format; none when it is no format that is read.
    pub container: Option<Container>,
    /// Where something was found.
    pub carriers: BTreeSet<Carrier>,
    /// The program.
    pub tool: Option<Tool>,
    /// Its version: at most three numbers of at most three digits.
    pub version: Option<String>,
    /// Models that it names by digests.
    pub resources: BTreeSet<Resource>,
    /// A word of [`SAMPLERS`], or `other`.
    pub sampler: Option<&'static str>,
    /// A word of [`SCHEDULERS`], or `other`.
    pub scheduler: Option<&'static str>,
    /// Steps, 1 to 1000.
    pub steps: Option<u16>,
    /// Ten times the guidance scale, 0 to 1000.
    pub cfg_x10: Option<u16>,
    /// A hundred times the strength of the change to a given picture, 0 to 100.
    pub denoise_x100: Option<u8>,
    /// Layers of the text encoder that were left out, 1 to 24.
    pub clip_skip: Option<u8>,
    /// The longer side in pixels, rounded up to one of 512, 768, 1024, 1536, 2048, or 0 for more.
    pub size_bucket: Option<u16>,
    /// SHA-256 of the sorted types of the nodes of a workflow.
    pub workflow: Option<[u8; 32]>,
    /// Whether there is a C2PA manifest. Its signature is not checked here.
    pub c2pa: bool,
    /// A word of [`SOURCE_TYPES`]: the IPTC's digital source type.
    pub source_type: Option<&'static str>,
}

impl GenMeta {
    /// Whether the file says nothing about its making.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Self { container: None, carriers: BTreeSet::new(), ..self.clone() } == Self::default()
    }

    fn set_steps(&mut self, steps: f64) {
        if (1.0..=1000.0).contains(&steps) {
            self.steps.get_or_insert(steps as u16);
        }
    }

    fn set_cfg(&mut self, cfg: f64) {
        if (0.0..=100.0).contains(&cfg) {
            self.cfg_x10.get_or_insert((cfg * 10.0).round() as u16);
        }
    }

    fn set_denoise(&mut self, share: f64) {
        if (0.0..=1.0).contains(&share) {
            self.denoise_x100.get_or_insert((share * 100.0).round() as u8);
        }
    }

    fn set_clip_skip(&mut self, layers: f64) {
        if (1.0..=24.0).contains(&layers) {
            self.clip_skip.get_or_insert(layers as u8);
        }
    }

    fn set_sampler(&mut self, name: &str) {
        let (sampler, scheduler) = vocabulary::sampler(name);
        self.sampler.get_or_insert(sampler);
        if let Some(scheduler) = scheduler {
            self.scheduler.get_or_insert(scheduler);
        }
    }

    fn set_scheduler(&mut self, name: &str) {
        self.scheduler.get_or_insert(vocabulary::scheduler(name));
    }

    fn set_size(&mut self, width: f64, height: f64) {
        let longer = width.max(height);
        if (1.0..=1e6).contains(&longer) {
            let bucket =
                [512u16, 768, 1024, 1536, 2048].into_iter().find(|bucket| longer <= f64::from(*bucket));
            self.size_bucket.get_or_insert(bucket.unwrap_or(0));
        }
    }

    fn set_tool(&mut self, tool: Tool, version: Option<&str>) {
        if self.tool.is_none() {
            self.tool = Some(tool);
            self.version = version.and_then(vocabulary::version);
        }
    }

    /// Keeps a digest if it is one: 8, 10, 12 or 64 hexadecimal digits, perhaps behind `0x` or `sha256:`.
    fn add_resource(&mut self, kind: ResourceKind, text: &str) {
        let text = text.trim();
        let (algorithm, digits) = text.split_once(':').unwrap_or(("", text));
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let identifier = match (digits.len(), algorithm.to_ascii_lowercase().as_str()) {
            (64, "blake3") => "blake3",
            (64, "" | "sha256") if text.starts_with("0x") => "st_body",
            (64, "" | "sha256") => "sha256",
            (12, "") if kind == ResourceKind::Embedding => "ti",
            (12, "") => "autov3",
            (10, "") => "autov2",
            (8, "") => "autov1",
            _ => return,
        };
        if is_hex && self.resources.len() < RESOURCES_MAX {
            self.resources.insert(Resource { kind, identifier, hex: digits.to_ascii_lowercase() });
        }
    }
}

/// A text of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) carrier: Carrier,
    /// The keyword of a PNG text; for EXIF the name of the tag.
    pub(crate) key: String,
    pub(crate) text: String,
}

/// What a container holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) texts: Vec<Text>,
    bytes: usize,
    /// The first XMP packet.
    pub(crate) xmp: Option<Vec<u8>>,
    /// C2PA manifests, whole or in parts.
    pub(crate) c2pa: Vec<u8>,
    /// Width and height in pixels, as the container states them.
    pub(crate) size: Option<(u32, u32)>,
}

impl Contents {
    /// Keeps a text within the bounds.
    pub(crate) fn add(&mut self, carrier: Carrier, key: &str, text: String) {
        let bytes = self.bytes.saturating_add(text.len());
        if self.texts.len() < TEXTS_MAX
            && key.len() <= 80
            && text.len() <= TEXT_MAX_BYTES
            && bytes <= TEXTS_MAX_BYTES
        {
            self.bytes = bytes;
            self.texts.push(Text { carrier, key: key.to_owned(), text });
        }
    }

    pub(crate) fn set_xmp(&mut self, packet: &[u8]) {
        if self.xmp.is_none() && packet.len() <= TEXT_MAX_BYTES {
            self.xmp = Some(packet.to_vec());
        }
    }

    pub(crate) fn add_c2pa(&mut self, manifest: &[u8]) {
        let room = TEXT_MAX_BYTES.saturating_sub(self.c2pa.len());
        self.c2pa.extend_from_slice(&manifest[..manifest.len().min(room)]);
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.texts.iter().find(|text| text.key == key).map(|text| text.text.as_str())
    }
}

/// Reads what a file says about its making. A file of another format says nothing.
#[must_use]
pub fn read(bytes: &[u8]) -> GenMeta {
    let (container, contents) = if bytes.starts_with(png::SIGNATURE) {
        (Container::Png, png::contents(bytes))
    } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        (Container::Jpeg, jpeg::contents(bytes))
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        (Container::WebP, webp::contents(bytes))
    } else {
        return GenMeta::default();
    };
    let mut found = GenMeta { container: Some(container), ..GenMeta::default() };
    interpret(&contents, &mut found);
    found
}

fn interpret(contents: &Contents, found: &mut GenMeta) {
    // A hub's generator writes the graph of the tool that it runs as well: the hub comes first.
    let (hubs, others): (Vec<&Text>, Vec<&Text>) =
        contents.texts.iter().partition(|text| text.key == "generation_data");
    for text in hubs.into_iter().chain(others) {
        let before = found.clone();
        settings(contents, text, found);
        if *found != before {
            found.carriers.insert(text.carrier);
        }
    }
    if !contents.c2pa.is_empty() {
        found.c2pa = true;
        found.carriers.insert(Carrier::C2pa);
    }
    if let Some(settings) = contents.xmp.as_deref().and_then(xmp::draw_things) {
        json_tools::draw_things(&settings, found);
        found.carriers.insert(Carrier::Xmp);
    }
    let in_xmp = contents.xmp.as_deref().and_then(xmp::source_type);
    if in_xmp.is_some() {
        found.carriers.insert(Carrier::Xmp);
    }
    found.source_type = in_xmp.or_else(|| xmp::source_type(&contents.c2pa));
    // A size alone says nothing; beside settings it completes them.
    if !found.is_empty()
        && let Some((width, height)) = contents.size
    {
        found.set_size(width.into(), height.into());
    }
}

/// Reads one text by its key and its first character.
fn settings(contents: &Contents, text: &Text, found: &mut GenMeta) {
    let value = text.text.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']);
    let is_json = value.starts_with('{');
    match text.key.as_str() {
        "prompt" | "workflow" if is_json => comfy::read(value, found),
        "invokeai_metadata" | "sd-metadata" if is_json => json_tools::invoke(value, found),
        "Comment" | "comment" if is_json && is_novelai(contents) => {
            json_tools::novelai(value, contents.get("Software"), found);
        }
        "generation_data" if is_json => json_tools::tensorart(value.trim_end_matches('\0'), found),
        "use_stable_diffusion_model" | "Stable Diffusion model" => easy_diffusion(contents, found),
        "Make" | "Model" | "ImageDescription" => {
            let after = ["workflow:", "prompt:", "Workflow:", "Prompt:"]
                .iter()
                .find_map(|mark| value.strip_prefix(mark));
            if let Some(graph) = after.filter(|graph| graph.starts_with('{')) {
                comfy::read(graph, found);
            }
        }
        "Software" if value.starts_with("NovelAI") => found.set_tool(Tool::NovelAi, None),
        "Software" if value.starts_with("Fooocus") => found.set_tool(Tool::Fooocus, Some(value)),
        "parameters" | "UserComment" | "comment" | "Comment" | "Description" if is_json => {
            json_tools::read(value, found)
        }
        "parameters" | "UserComment" | "comment" | "Comment" => parameters::read(value, found),
        _ => {}
    }
}

/// Easy Diffusion, which writes each setting as a text of its own.
fn easy_diffusion(contents: &Contents, found: &mut GenMeta) {
    found.set_tool(Tool::EasyDiffusion, None);
    let text = |keys: [&str; 2]| keys.into_iter().find_map(|key| contents.get(key));
    let number = |keys| text(keys).filter(|text| text.len() <= 16).and_then(|text| text.trim().parse().ok());
    number(["num_inference_steps", "Steps"]).into_iter().for_each(|n| found.set_steps(n));
    number(["guidance_scale", "Guidance Scale"]).into_iter().for_each(|n| found.set_cfg(n));
    number(["prompt_strength", "Prompt Strength"]).into_iter().for_each(|n| found.set_denoise(n));
    number(["clip_skip", "Clip Skip"]).into_iter().for_each(|n| found.set_clip_skip(n));
    text(["sampler_name", "Sampler"]).into_iter().for_each(|name| found.set_sampler(name));
}

fn is_novelai(contents: &Contents) -> bool {
    let names = ["Software", "Source", "Title"].into_iter().filter_map(|key| contents.get(key));
    names.into_iter().any(|text| {
        text.starts_with("NovelAI") || text == "AI generated image" || text == "NovelAI generated image"
    })
}

#[cfg(test)]
mod tests;

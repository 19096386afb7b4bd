//! Words of `genmeta`: what files call their tools, samplers and the like, as fixed lists.
//!
//! A long list is a number with a table of names, because nothing decides by its words; the table is the one of SPEC §7.18.
//!
//! SPEC §7.18.

use super::vocabulary::{LabelWord, Vocabulary};

/// The format of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Container {
    /// Not stated.
    #[default]
    Undetermined,
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    WebP,
    /// None of those above.
    Other,
}

impl Vocabulary for Container {
    const FIELD: &'static str = "container";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::Png, 1, "png"),
        (Self::Jpeg, 2, "jpeg"),
        (Self::WebP, 3, "webp"),
        (Self::Other, 4, "other"),
    ];
}

impl LabelWord for Container {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

/// Where in the file it stood; each is a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl Vocabulary for Carrier {
    const FIELD: &'static str = "carriers";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::PngText, 0, "png_text"),
        (Self::JpegComment, 1, "jpeg_comment"),
        (Self::Exif, 2, "exif"),
        (Self::Xmp, 3, "xmp"),
        (Self::C2pa, 4, "c2pa"),
    ];
}

/// The program that wrote the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    /// Not stated.
    #[default]
    Undetermined,
    /// None of those below.
    Other,
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

impl Vocabulary for Tool {
    const FIELD: &'static str = "tool";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::Other, 1, "other"),
        (Self::A1111, 2, "a1111"),
        (Self::Forge, 3, "forge"),
        (Self::SdNext, 4, "sdnext"),
        (Self::ComfyUi, 5, "comfyui"),
        (Self::InvokeAi, 6, "invokeai"),
        (Self::Fooocus, 7, "fooocus"),
        (Self::SwarmUi, 8, "swarmui"),
        (Self::NovelAi, 9, "novelai"),
        (Self::DrawThings, 10, "draw_things"),
        (Self::EasyDiffusion, 11, "easy_diffusion"),
        (Self::Civitai, 12, "civitai"),
        (Self::TensorArt, 13, "tensorart"),
    ];
}

impl LabelWord for Tool {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

/// What a model that the file names is said to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// None of those below.
    #[default]
    Other,
    /// A checkpoint.
    Model,
    /// A LoRA or its kin.
    Lora,
    /// A textual inversion.
    Embedding,
    /// A VAE.
    Vae,
}

impl Vocabulary for ResourceKind {
    const FIELD: &'static str = "resource";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Other, 0, "other"),
        (Self::Model, 1, "model"),
        (Self::Lora, 2, "lora"),
        (Self::Embedding, 3, "embedding"),
        (Self::Vae, 4, "vae"),
    ];
}

impl LabelWord for ResourceKind {
    const DEFAULT: Self = Self::Other;
    const FALLBACK: Self = Self::Other;
}

/// The longer side in pixels. Ordered: larger is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SizeBucket {
    /// Not stated.
    #[default]
    Undetermined,
    /// At most 512.
    To512,
    /// 513 to 768.
    To768,
    /// 769 to 1024.
    To1024,
    /// 1025 to 1536.
    To1536,
    /// 1537 to 2048.
    To2048,
    /// More than 2048.
    More,
}

impl Vocabulary for SizeBucket {
    const FIELD: &'static str = "size_bucket";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::To512, 1, "512"),
        (Self::To768, 2, "768"),
        (Self::To1024, 3, "1024"),
        (Self::To1536, 4, "1536"),
        (Self::To2048, 5, "2048"),
        (Self::More, 6, "more"),
    ];
}

impl LabelWord for SizeBucket {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

/// What is known of a C2PA manifest in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum C2pa {
    /// Not stated.
    #[default]
    Unstated,
    /// There is none.
    Absent,
    /// There is one; its signature was not checked.
    Present,
    /// There is one, and its signature is valid.
    Valid,
    /// There is one, and its signature is not valid.
    Invalid,
}

impl Vocabulary for C2pa {
    const FIELD: &'static str = "c2pa";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::Absent, 1, "absent"),
        (Self::Present, 2, "present"),
        (Self::Valid, 3, "valid"),
        (Self::Invalid, 4, "invalid"),
    ];
}

impl LabelWord for C2pa {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

/// A sampler, by the name that the users of k-diffusion know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sampler(u8);

impl Vocabulary for Sampler {
    const FIELD: &'static str = "sampler";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self(0), 0, "undetermined"),
        (Self(1), 1, "other"),
        (Self(2), 2, "euler"),
        (Self(3), 3, "euler_a"),
        (Self(4), 4, "heun"),
        (Self(5), 5, "heunpp2"),
        (Self(6), 6, "lms"),
        (Self(7), 7, "dpm2"),
        (Self(8), 8, "dpm2_a"),
        (Self(9), 9, "dpm_fast"),
        (Self(10), 10, "dpm_adaptive"),
        (Self(11), 11, "dpmpp_2s_a"),
        (Self(12), 12, "dpmpp_2m"),
        (Self(13), 13, "dpmpp_sde"),
        (Self(14), 14, "dpmpp_2m_sde"),
        (Self(15), 15, "dpmpp_2m_sde_heun"),
        (Self(16), 16, "dpmpp_3m_sde"),
        (Self(17), 17, "ddim"),
        (Self(18), 18, "ddpm"),
        (Self(19), 19, "plms"),
        (Self(20), 20, "unipc"),
        (Self(21), 21, "lcm"),
        (Self(22), 22, "tcd"),
        (Self(23), 23, "ipndm"),
        (Self(24), 24, "deis"),
        (Self(25), 25, "restart"),
        (Self(26), 26, "res_multistep"),
        (Self(27), 27, "er_sde"),
        (Self(28), 28, "gradient_estimation"),
    ];
}

impl LabelWord for Sampler {
    const DEFAULT: Self = Self(0);
    const FALLBACK: Self = Self(1);
}

/// A noise schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scheduler(u8);

impl Vocabulary for Scheduler {
    const FIELD: &'static str = "scheduler";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self(0), 0, "undetermined"),
        (Self(1), 1, "other"),
        (Self(2), 2, "automatic"),
        (Self(3), 3, "normal"),
        (Self(4), 4, "karras"),
        (Self(5), 5, "exponential"),
        (Self(6), 6, "polyexponential"),
        (Self(7), 7, "sgm_uniform"),
        (Self(8), 8, "uniform"),
        (Self(9), 9, "simple"),
        (Self(10), 10, "ddim_uniform"),
        (Self(11), 11, "beta"),
        (Self(12), 12, "linear_quadratic"),
        (Self(13), 13, "kl_optimal"),
        (Self(14), 14, "align_your_steps"),
        (Self(15), 15, "gits"),
        (Self(16), 16, "turbo"),
        (Self(17), 17, "native"),
    ];
}

impl LabelWord for Scheduler {
    const DEFAULT: Self = Self(0);
    const FALLBACK: Self = Self(1);
}

/// The IPTC's digital source type, by its own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceType(u8);

impl Vocabulary for SourceType {
    const FIELD: &'static str = "source_type";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self(0), 0, "undetermined"),
        (Self(1), 1, "trainedAlgorithmicMedia"),
        (Self(2), 2, "compositeWithTrainedAlgorithmicMedia"),
        (Self(3), 3, "algorithmicMedia"),
        (Self(4), 4, "algorithmicallyEnhanced"),
        (Self(5), 5, "compositeSynthetic"),
        (Self(6), 6, "compositeCapture"),
        (Self(7), 7, "composite"),
        (Self(8), 8, "digitalCapture"),
        (Self(9), 9, "computationalCapture"),
        (Self(10), 10, "multiFrameComputationalCapture"),
        (Self(11), 11, "negativeFilm"),
        (Self(12), 12, "positiveFilm"),
        (Self(13), 13, "print"),
        (Self(14), 14, "minorHumanEdits"),
        (Self(15), 15, "humanEdits"),
        (Self(16), 16, "digitalArt"),
        (Self(17), 17, "digitalCreation"),
        (Self(18), 18, "dataDrivenMedia"),
        (Self(19), 19, "virtualRecording"),
        (Self(20), 20, "screenCapture"),
        (Self(21), 21, "softwareImage"),
        (Self(22), 22, "hybrid"),
    ];
}

impl LabelWord for SourceType {
    const DEFAULT: Self = Self(0);
    const FALLBACK: Self = Self(0);
}

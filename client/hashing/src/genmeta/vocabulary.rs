//! Fixed lists of words: what a file says is compared with them, and only a word of the list is handed on.

/// Samplers, by the names that k-diffusion's users know.
pub const SAMPLERS: [&str; 27] = [
    "euler",
    "euler_a",
    "heun",
    "heunpp2",
    "lms",
    "dpm2",
    "dpm2_a",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_a",
    "dpmpp_2m",
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_heun",
    "dpmpp_3m_sde",
    "ddim",
    "ddpm",
    "plms",
    "unipc",
    "lcm",
    "tcd",
    "ipndm",
    "deis",
    "restart",
    "res_multistep",
    "er_sde",
    "gradient_estimation",
];

/// Other names of samplers, without spaces, marks and capitals.
const SAMPLER_NAMES: [(&str, &str); 21] = [
    ("eulera", "euler_a"),
    ("eulerancestral", "euler_a"),
    ("dpm2", "dpm2"),
    ("dpm2ancestral", "dpm2_a"),
    ("dpm2a", "dpm2_a"),
    ("dpmpp2sa", "dpmpp_2s_a"),
    ("dpmpp2s", "dpmpp_2s_a"),
    ("dpmpp2sancestral", "dpmpp_2s_a"),
    ("dpmpp2m", "dpmpp_2m"),
    ("dpmppsde", "dpmpp_sde"),
    ("dpmpp2msde", "dpmpp_2m_sde"),
    ("dpmpp2msdeheun", "dpmpp_2m_sde_heun"),
    ("dpmpp3msde", "dpmpp_3m_sde"),
    ("dpmfast", "dpm_fast"),
    ("dpmadaptive", "dpm_adaptive"),
    ("pndm", "plms"),
    ("unipcbh2", "unipc"),
    ("ddimv3", "ddim"),
    ("ipndmv", "ipndm"),
    ("resmultistep", "res_multistep"),
    ("ersde", "er_sde"),
];

/// Noise schedules.
pub const SCHEDULERS: [&str; 16] = [
    "automatic",
    "normal",
    "karras",
    "exponential",
    "polyexponential",
    "sgm_uniform",
    "uniform",
    "simple",
    "ddim_uniform",
    "beta",
    "linear_quadratic",
    "kl_optimal",
    "align_your_steps",
    "gits",
    "turbo",
    "native",
];

/// The IPTC's digital source types.
pub const SOURCE_TYPES: [&str; 22] = [
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "algorithmicMedia",
    "algorithmicallyEnhanced",
    "compositeSynthetic",
    "compositeCapture",
    "composite",
    "digitalCapture",
    "computationalCapture",
    "multiFrameComputationalCapture",
    "negativeFilm",
    "positiveFilm",
    "print",
    "minorHumanEdits",
    "humanEdits",
    "digitalArt",
    "digitalCreation",
    "dataDrivenMedia",
    "virtualRecording",
    "screenCapture",
    "softwareImage",
    "hybrid",
];

/// Letters and digits only, in lower case; `+` is the letter p, as in DPM++.
fn squeezed(name: &str) -> String {
    let kept = name.chars().take(64).filter_map(|c| match c {
        '+' => Some('p'),
        c if c.is_ascii_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

fn known(squeezed_name: &str) -> Option<&'static str> {
    let alias = SAMPLER_NAMES.iter().find(|(name, _)| *name == squeezed_name).map(|(_, word)| *word);
    alias.or_else(|| SAMPLERS.into_iter().find(|word| squeezed(word) == squeezed_name))
}

/// The word for a sampler, and for the schedule that some tools put behind it.
pub(crate) fn sampler(name: &str) -> (&'static str, Option<&'static str>) {
    let name = squeezed(name);
    let endings =
        [("", None), ("karras", Some("karras")), ("exponential", Some("exponential")), ("gpu", None)];
    let endings = endings.into_iter().chain([
        ("k", Some("karras")),
        ("cfgpp", None),
        ("sgmuniform", Some("sgm_uniform")),
        // As Draw Things calls them.
        ("trailing", None),
        ("substep", None),
        ("ays", Some("align_your_steps")),
    ]);
    for (ending, scheduler) in endings {
        let Some(rest) = name.strip_suffix(ending) else { continue };
        let found = known(rest).or_else(|| known(rest.strip_prefix('k')?));
        if let Some(word) = found {
            return (word, scheduler);
        }
    }
    ("other", None)
}

/// The word for a schedule.
pub(crate) fn scheduler(name: &str) -> &'static str {
    let name = squeezed(name);
    // As A1111 shortens it.
    if name == "ddim" {
        return "ddim_uniform";
    }
    SCHEDULERS.into_iter().find(|word| squeezed(word) == name).unwrap_or("other")
}

/// A version behind a name or a letter: two or three numbers of at most three digits.
pub(crate) fn version(text: &str) -> Option<String> {
    let plain = text.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    if text.len() - plain.len() > 16 {
        return None;
    }
    let mut numbers = Vec::new();
    for part in plain.split('.').take(3) {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        if digits.is_empty() || digits.len() > 3 {
            break;
        }
        let ends = digits.len() < part.len();
        numbers.push(digits);
        if ends {
            break;
        }
    }
    (numbers.len() >= 2).then(|| numbers.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_samplers() {
        for (name, expected) in [
            ("Euler a", ("euler_a", None)),
            ("DPM++ 2M Karras", ("dpmpp_2m", Some("karras"))),
            ("dpmpp_2m_sde_gpu", ("dpmpp_2m_sde", None)),
            ("k_euler_ancestral", ("euler_a", None)),
            ("uni_pc", ("unipc", None)),
            ("dpmpp_2m_k", ("dpmpp_2m", Some("karras"))),
            ("Euler A Trailing", ("euler_a", None)),
            ("DPM++ 2M AYS", ("dpmpp_2m", Some("align_your_steps"))),
            ("DPM++ 3M SDE Exponential", ("dpmpp_3m_sde", Some("exponential"))),
            ("a word of a prompt", ("other", None)),
        ] {
            assert_eq!(sampler(name), expected, "{name}");
        }
        assert_eq!((scheduler("SGM Uniform"), scheduler("whatever")), ("sgm_uniform", "other"));
        assert_eq!((scheduler("DDIM"), scheduler("KL Optimal")), ("ddim_uniform", "kl_optimal"));
        for word in SAMPLERS {
            assert_eq!(sampler(word).0, word);
        }
    }

    #[test]
    fn versions_hold_nothing_else() {
        for (text, expected) in [
            ("v1.6.0", Some("1.6.0")),
            ("v1.10.1-2-gabcdef", Some("1.10.1")),
            ("f2.0.1v1.10.1-previous", Some("2.0.1")),
            ("Fooocus v2.5.5", Some("2.5.5")),
            ("0.6.5.1", Some("0.6.5")),
            ("5551234.2", None),
            ("12", None),
            ("a long text before 1.2", None),
        ] {
            assert_eq!(version(text).as_deref(), expected, "{text}");
        }
    }
}

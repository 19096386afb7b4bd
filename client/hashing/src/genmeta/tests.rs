use super::*;
use proptest::prelude::*;

/// Words that stand for what must never come out: prompt, names, seed, place, file names.
const PLANTED: [&str; 8] = [
    "lighthouse",
    "harbour",
    "Evelyn Exampleton",
    "987654321",
    "52.0907",
    "holiday-sketch",
    "serial-4711",
    "teapot",
];

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    [&(data.len() as u32).to_be_bytes()[..], kind, data, &[0; 4]].concat()
}

fn png(chunks: &[Vec<u8>]) -> Vec<u8> {
    let size = [&640u32.to_be_bytes()[..], &1500u32.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [png::SIGNATURE.to_vec(), chunk(b"IHDR", &size), chunks.concat(), chunk(b"IEND", b"")].concat()
}

fn text_chunk(key: &str, text: &str) -> Vec<u8> {
    chunk(b"tEXt", &[key.as_bytes(), b"\0", text.as_bytes()].concat())
}

fn zlib(text: &[u8]) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(text, 6)
}

fn with_text(key: &str, text: &str) -> GenMeta {
    read(&png(&[text_chunk(key, text)]))
}

/// EXIF with one entry of EXIF proper and one of the first directory.
fn exif(big: bool, comment: &[u8], make: &[u8]) -> Vec<u8> {
    let n16 = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let n32 = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&n16(tag)[..], &n16(kind), &n32(count), &n32(value)].concat()
    };
    let (inner, values) = (8 + 2 + 2 * 12 + 4, 8 + 2 + 2 * 12 + 4 + 2 + 12 + 4);
    let comment_at = values + make.len() as u32;
    [
        if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() },
        n32(8).to_vec(),
        n16(2).to_vec(),
        entry(0x010f, 2, make.len() as u32, values),
        entry(0x8769, 4, 1, inner),
        n32(0).to_vec(),
        n16(1).to_vec(),
        entry(0x9286, 7, comment.len() as u32, comment_at),
        n32(0).to_vec(),
        make.to_vec(),
        comment.to_vec(),
    ]
    .concat()
}

fn jpeg(segments: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let segment = |(marker, data): &(u8, Vec<u8>)| {
        [&[0xff, *marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat()
    };
    let body: Vec<u8> = segments.iter().flat_map(segment).collect();
    [&[0xff, 0xd8][..], &body, &[0xff, 0xda, 0, 2, 1, 2, 3]].concat()
}

fn webp(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let chunk = |(kind, data): &(&[u8; 4], &[u8])| {
        [&kind[..], &(data.len() as u32).to_le_bytes(), data, &vec![0; data.len() % 2]].concat()
    };
    let body: Vec<u8> = chunks.iter().flat_map(chunk).collect();
    [b"RIFF".to_vec(), (body.len() as u32 + 4).to_le_bytes().to_vec(), b"WEBP".to_vec(), body].concat()
}

const A1111: &str = "lighthouse, harbour, <lora:teapot:0.8>, Steps: the harbour\nNegative prompt: Evelyn Exampleton\n\
    Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 987654321, Size: 512x768, \
    Model hash: 6CE0161689, Model: holiday-sketch, VAE hash: 735e4c3a44, Denoising strength: 0.45, Clip skip: 2, \
    Lora hashes: \"teapot: 0123456789ab, lighthouse: fedcba987654\", TI hashes: \"harbour: aaaaaaaaaaaa\", \
    Hashes: {\"model\": \"6ce0161689\", \"embed:harbour\": \"bbbbbbbbbbbb\", \"lora:x, y\": \"cccccccccccc\"}, Version: v1.9.4";

fn resources(found: &GenMeta) -> Vec<String> {
    let shown = |r: &Resource| format!("{} {} {}", r.kind.name(), r.identifier, r.hex);
    found.resources.iter().map(shown).collect()
}

#[test]
fn settings_of_a1111() {
    let found = with_text("parameters", A1111);
    assert_eq!((found.tool, found.version.as_deref()), (Some(Tool::A1111), Some("1.9.4")));
    assert_eq!((found.sampler, found.scheduler), (Some("dpmpp_2m"), Some("karras")));
    assert_eq!(
        (found.steps, found.cfg_x10, found.denoise_x100, found.clip_skip),
        (Some(28), Some(75), Some(45), Some(2))
    );
    assert_eq!(found.size_bucket, Some(768));
    assert_eq!(found.carriers, BTreeSet::from([Carrier::PngText]));
    assert_eq!(
        resources(&found),
        [
            "model autov2 6ce0161689",
            "lora autov3 0123456789ab",
            "lora autov3 cccccccccccc",
            "lora autov3 fedcba987654",
            "embedding ti aaaaaaaaaaaa",
            "embedding ti bbbbbbbbbbbb",
            "vae autov2 735e4c3a44",
        ]
    );
}

#[test]
fn every_carrier_says_the_same() {
    let expected = with_text("parameters", A1111);
    let utf16 = |big: bool| -> Vec<u8> {
        let unit = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        [b"UNICODE\0".to_vec(), A1111.encode_utf16().flat_map(unit).collect()].concat()
    };
    let international = |packed: bool| {
        let text = if packed { zlib(A1111.as_bytes()) } else { A1111.into() };
        chunk(
            b"iTXt",
            &[b"parameters\0".to_vec(), vec![u8::from(packed), 0], b"en\0title\0".to_vec(), text].concat(),
        )
    };
    let compressed = chunk(b"zTXt", &[b"parameters\0\0".to_vec(), zlib(A1111.as_bytes())].concat());
    let exif_of =
        |tiff_big, comment: &[u8]| [b"Exif\0\0".to_vec(), exif(tiff_big, comment, b"Someone\0")].concat();
    let ascii = [b"ASCII\0\0\0", A1111.as_bytes()].concat();
    let files = [
        png(&[international(false)]),
        png(&[international(true)]),
        png(&[compressed]),
        png(&[chunk(b"eXIf", &exif(true, &utf16(true), b"x\0"))]),
        jpeg(&[(0xe0, b"JFIF\0".to_vec()), (0xe1, exif_of(true, &utf16(true)))]),
        jpeg(&[(0xe1, exif_of(false, &utf16(true)))]),
        jpeg(&[(0xe1, exif_of(false, &utf16(false)))]),
        jpeg(&[(0xe1, exif_of(true, &ascii))]),
        jpeg(&[(0xfe, A1111.into())]),
        webp(&[
            (b"VP8X", &[0, 0, 0, 0, 127, 2, 0, 219, 5, 0]),
            (b"EXIF", &exif(false, &utf16(true), b"x\0")),
        ]),
    ];
    for (nth, file) in files.iter().enumerate() {
        let found = read(file);
        let same =
            GenMeta { container: expected.container, carriers: expected.carriers.clone(), ..found.clone() };
        assert_eq!(same, expected, "file {nth}");
    }
}

#[test]
fn graphs_of_comfyui() {
    let prompt = r#"{"3":{"class_type":"KSampler","inputs":{"seed":987654321,"steps":20,"cfg":8,"sampler_name":"euler_ancestral",
        "scheduler":"sgm_uniform","denoise":0.6,"model":["4",0]},"is_changed":[NaN]},"4":{"class_type":"CheckpointLoaderSimple",
        "inputs":{"ckpt_name":"holiday-sketch.safetensors"}},"6":{"class_type":"CLIPTextEncode","inputs":{"text":"lighthouse"}},
        "7":{"class_type":"CLIPTextEncode","inputs":{"text":"teapot"}},"8":{"class_type":"CLIPSetLastLayer","inputs":{"stop_at_clip_layer":-2}},
        "5":{"class_type":"EmptyLatentImage","inputs":{"width":1024,"height":832}}}"#;
    let workflow = r#"{"nodes":[{"type":"CLIPTextEncode","widgets_values":["lighthouse"]},{"type":"KSampler"},{"type":"EmptyLatentImage"},
        {"type":"CheckpointLoaderSimple"},{"type":"CLIPSetLastLayer"}],"links":[]}"#;
    let found = with_text("prompt", prompt);
    assert_eq!((found.tool, found.steps, found.cfg_x10), (Some(Tool::ComfyUi), Some(20), Some(80)));
    assert_eq!((found.sampler, found.scheduler), (Some("euler_a"), Some("sgm_uniform")));
    assert_eq!((found.denoise_x100, found.clip_skip, found.size_bucket), (Some(60), Some(2), Some(1024)));
    let drawn = with_text("workflow", workflow);
    assert_eq!(drawn.workflow, found.workflow, "equal for what was drawn and what was run");
    let types = "CLIPSetLastLayer\nCLIPTextEncode\nCheckpointLoaderSimple\nEmptyLatentImage\nKSampler\n";
    use sha2::Digest as _;
    let by_hand: [u8; 32] = sha2::Sha256::digest(format!("hashpact/workflow/v1\0{types}")).into();
    assert_eq!(found.workflow, Some(by_hand));
    let in_exif = exif(false, b"", format!("prompt:{prompt}\0").as_bytes());
    assert_eq!(read(&webp(&[(b"EXIF", &in_exif)])).workflow, found.workflow);
}

#[test]
fn other_tools() {
    let sha = "ab".repeat(32);
    let found = with_text(
        "invokeai_metadata",
        &format!(
            r#"{{"app_version":"4.2.1","positive_prompt":"lighthouse","steps":30,"cfg_scale":5.5,"scheduler":"dpmpp_2m_k",
            "width":1024,"height":1024,"seed":987654321,"model":{{"name":"teapot","hash":"blake3:{sha}"}},
            "loras":[{{"model":{{"name":"harbour","hash":"sha256:{sha}"}},"weight":1}}]}}"#
        ),
    );
    assert_eq!((found.tool, found.version.as_deref()), (Some(Tool::InvokeAi), Some("4.2.1")));
    assert_eq!((found.sampler, found.scheduler, found.cfg_x10), (Some("dpmpp_2m"), Some("karras"), Some(55)));
    assert_eq!(resources(&found), [format!("model blake3 {sha}"), format!("lora sha256 {sha}")]);

    let found = with_text(
        "parameters",
        r#"{"metadata_scheme":"fooocus","version":"Fooocus v2.5.5","prompt":"teapot","base_model":"holiday-sketch","base_model_hash":"aaaaaaaaaa",
        "loras":[["harbour",0.5,"bbbbbbbbbb"]],"sampler":"dpmpp_2m_sde_gpu","scheduler":"karras","steps":30,"guidance_scale":4,"clip_skip":2}"#,
    );
    assert_eq!((found.tool, found.version.as_deref()), (Some(Tool::Fooocus), Some("2.5.5")));
    assert_eq!(resources(&found), ["model autov2 aaaaaaaaaa", "lora autov2 bbbbbbbbbb"]);

    let found = with_text(
        "parameters",
        &format!(
            r#"{{"sui_image_params":{{"prompt":"teapot","steps":20,"cfgscale":7,"seed":987654321,"sampler":"euler","width":512,"height":512,
            "swarm_version":"0.9.3.1"}},"sui_models":[{{"name":"harbour","param":"model","hash":"0x{sha}"}}]}}"#
        ),
    );
    assert_eq!((found.tool, found.version.as_deref()), (Some(Tool::SwarmUi), Some("0.9.3")));
    assert_eq!(resources(&found), [format!("model st_body {sha}")]);

    let comment = r#"{"prompt":"lighthouse","steps":28,"scale":5.0,"seed":987654321,"sampler":"k_euler_ancestral","noise_schedule":"karras","width":832,"height":1216}"#;
    let found = read(&png(&[
        text_chunk("Software", "NovelAI"),
        text_chunk("Title", "harbour"),
        text_chunk("Comment", comment),
    ]));
    assert_eq!(
        (found.tool, found.steps, found.cfg_x10, found.sampler),
        (Some(Tool::NovelAi), Some(28), Some(50), Some("euler_a"))
    );
    assert!(with_text("Comment", comment).tool.is_none(), "a comment alone is nobody's");
}

#[test]
fn marks_of_provenance() {
    let xmp = b"<x><Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia<";
    let expected = Some("trainedAlgorithmicMedia");
    let in_jpeg = [b"http://ns.adobe.com/xap/1.0/\0".to_vec(), xmp.to_vec()].concat();
    let in_png = [b"XML:com.adobe.xmp\0\0\0\0\0".to_vec(), xmp.to_vec()].concat();
    for file in [jpeg(&[(0xe1, in_jpeg)]), png(&[chunk(b"iTXt", &in_png)]), webp(&[(b"XMP ", xmp)])] {
        let found = read(&file);
        assert_eq!((found.source_type, found.c2pa), (expected, false));
        assert_eq!(found.carriers, BTreeSet::from([Carrier::Xmp]));
    }
    let manifest = b"JP\0\x01\0\0\0\x01\0\0\0\x20jumb....c2pa..digitalsourcetype/digitalArt.";
    for file in
        [jpeg(&[(0xeb, manifest.to_vec())]), png(&[chunk(b"caBX", manifest)]), webp(&[(b"C2PA", manifest)])]
    {
        let found = read(&file);
        assert_eq!((found.source_type, found.c2pa), (Some("digitalArt"), true));
    }
    for bare in [
        "<Iptc4xmpExt:DigitalSourceType>print<",
        "Iptc4xmpExt:DigitalSourceType=\"print\"",
        "\"digitalSourceType\" : \"print\"",
    ] {
        assert_eq!(xmp::source_type(bare.as_bytes()), Some("print"), "{bare}");
    }
    assert_eq!(xmp::source_type(b"DigitalSourceType=\"lighthouse print\""), None);
    assert_eq!(xmp::source_type(b"digitalsourcetype/lighthouse"), None, "only words of the list");
    assert_eq!(xmp::source_type(b"digitalsourcetype/harbour digitalsourcetype/print"), Some("print"));
}

#[test]
fn settings_lines_name_their_tool() {
    for (more, tool, version) in [
        ("Version: v1.10.1", Tool::A1111, Some("1.10.1")),
        ("Version: f2.0.1v1.10.1-previous-665-gae278f79", Tool::Forge, Some("2.0.1")),
        ("Version: f0.0.17v1.8.0rc-latest-276-g29be1da7", Tool::Forge, Some("0.0.17")),
        ("Version: neo", Tool::Forge, None),
        ("Version: ComfyUI", Tool::ComfyUi, None),
        ("Version: Fooocus v2.5.5", Tool::Fooocus, Some("2.5.5")),
        // SD.Next's version is a commit, some of which begin like one of Forge's.
        ("App: SD.Next, Version: 4b2f9e1, Operations: \"txt2img\"", Tool::SdNext, None),
        ("App: SD.Next, Version: f0a1b2c, Pipeline: StableDiffusionXLPipeline", Tool::SdNext, None),
        ("Version: f0a1b2c", Tool::A1111, None),
        (
            "Created Date: 2026-02-25T22:09:08.8166925Z, Civitai resources: [{\"type\":\"checkpoint\",\"modelVersionId\":42}], Civitai metadata: {\"workflow\":\"txt2img\"}",
            Tool::Civitai,
            None,
        ),
        (
            "Civitai resources: [{\"type\":\"lora\",\"weight\":0.6}], Version: v1.9.4",
            Tool::A1111,
            Some("1.9.4"),
        ),
    ] {
        let line = format!(
            "lighthouse\nSteps: 28, Sampler: Euler a, CFG scale: 7, Seed: 987654321, Size: 512x768, {more}"
        );
        let found = with_text("parameters", &line);
        assert_eq!((found.tool, found.version.as_deref()), (Some(tool), version), "{more}");
        assert_eq!((found.steps, found.sampler), (Some(28), Some("euler_a")), "{more}");
    }
}

/// What Draw Things writes: settings as JSON in XML.
fn drawn(tool: &str) -> Vec<u8> {
    format!(
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF><rdf:Description rdf:about=\"\"><dc:description><rdf:Alt>\
         <rdf:li xml:lang=\"x-default\">lighthouse&#xA;-teapot&#xA;Steps: 9, Sampler: Euler</rdf:li></rdf:Alt></dc:description>\
         <xmp:CreatorTool>{tool}</xmp:CreatorTool><exif:UserComment><rdf:Alt><rdf:li xml:lang=\"x-default\">\
         {{&quot;c&quot;:&quot;harbour &lt;&amp;amp;&#32;&#x2f;&bad;&quot;,\"uc\":\"teapot & so on\",\"model\":\"holiday-sketch.ckpt\",\"sampler\":\"DPM++ 2M Karras\",\
         \"scale\":4.5,\"seed\":987654321,\"size\":\"1216x832\",\"steps\":8,\"strength\":0.7,\"v2\":{{\"loras\":[{{\"file\":\"teapot.ckpt\"}}]}}}}\
         </rdf:li></rdf:Alt></exif:UserComment></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    .into_bytes()
}

#[test]
fn settings_of_draw_things_are_in_xmp() {
    let itxt = |packet: &[u8]| chunk(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", packet].concat());
    let segment = [b"http://ns.adobe.com/xap/1.0/\0".to_vec(), drawn("Draw Things")].concat();
    for file in [png(&[itxt(&drawn("Draw Things"))]), jpeg(&[(0xe1, segment)])] {
        let found = read(&file);
        assert_eq!((found.tool, found.steps, found.cfg_x10), (Some(Tool::DrawThings), Some(8), Some(45)));
        assert_eq!((found.sampler, found.scheduler), (Some("dpmpp_2m"), Some("karras")));
        assert_eq!((found.denoise_x100, found.size_bucket), (Some(70), Some(1536)));
        assert_eq!(found.carriers, BTreeSet::from([Carrier::Xmp]));
        assert!(PLANTED.iter().all(|word| !printed(&found).contains(word)), "{found:?}");
    }
    assert!(read(&png(&[itxt(&drawn("A photo editor"))])).is_empty(), "another program's comment is its own");
    // Nothing but ampersands is gone over once.
    let ampersands = drawn("Draw Things")
        .iter()
        .flat_map(|byte| if *byte == b'8' { vec![b'&'; 80_000] } else { vec![*byte] })
        .collect::<Vec<u8>>();
    assert_eq!(read(&png(&[itxt(&ampersands)])).tool, Some(Tool::DrawThings));
}

#[test]
fn hubs_and_single_texts_name_their_tool() {
    let sha = "AB".repeat(32);
    let graph = r#"{"3":{"class_type":"KSampler","inputs":{"steps":99}}}"#;
    let data = format!(
        "{{\"prompt\":\"lighthouse\",\"width\":768,\"height\":1152,\"seed\":\"987654321\",\"steps\":25,\"cfgScale\":7,\"clipSkip\":2,\
         \"samplerName\":\"Euler a\",\"baseModel\":{{\"modelFileName\":\"teapot\",\"hash\":\"{sha}\"}},\
         \"models\":[{{\"type\":\"LORA\",\"modelFileName\":\"harbour\",\"hash\":\"0123456789\"}}]}}\0\0"
    );
    let found = read(&png(&[text_chunk("prompt", graph), text_chunk("generation_data", &data)]));
    assert_eq!((found.tool, found.steps, found.clip_skip), (Some(Tool::TensorArt), Some(25), Some(2)));
    assert_eq!(
        resources(&found),
        [format!("model sha256 {}", sha.to_lowercase()), "lora autov2 0123456789".into()]
    );
    assert!(found.workflow.is_some(), "its graph is one, too");
    assert!(with_text("generation_data", "{\"a\":1}").is_empty());

    let texts = [
        ("use_stable_diffusion_model", "holiday-sketch"),
        ("num_inference_steps", "25"),
        ("guidance_scale", "7.5"),
        ("sampler_name", "dpmpp_2m"),
        ("clip_skip", "False"),
        ("prompt", "lighthouse"),
    ];
    let found = read(&png(&texts.map(|(key, text)| text_chunk(key, text))));
    assert_eq!((found.tool, found.steps, found.cfg_x10), (Some(Tool::EasyDiffusion), Some(25), Some(75)));
    assert_eq!((found.sampler, found.clip_skip), (Some("dpmpp_2m"), None));
    assert!(read(&png(&[text_chunk("num_inference_steps", "25")])).is_empty());
    let json = r#"{"Prompt":"lighthouse","Stable Diffusion model":"teapot","Steps":25,"Guidance Scale":7.5,"Sampler":"euler_a","Seed":987654321}"#;
    let comment = [b"ASCII\0\0\0", json.as_bytes()].concat();
    let found = read(&webp(&[(b"EXIF", &exif(true, &comment, b"x\0"))]));
    assert_eq!(
        (found.tool, found.steps, found.sampler),
        (Some(Tool::EasyDiffusion), Some(25), Some("euler_a"))
    );

    // NovelAI's texts in the one that WebP has.
    let inner = r#"{\"steps\":28,\"scale\":5.0,\"sampler\":\"k_euler_ancestral\",\"noise_schedule\":\"karras\",\"v4_prompt\":{}}"#;
    let json = format!(
        r#"{{"Description":"lighthouse","Software":"NovelAI","Source":"NovelAI Diffusion V4","Comment":"{inner}"}}"#
    );
    let comment = [b"ASCII\0\0\0", json.as_bytes()].concat();
    let found = read(&webp(&[(b"EXIF", &exif(true, &comment, b"x\0"))]));
    assert_eq!((found.tool, found.steps, found.scheduler), (Some(Tool::NovelAi), Some(28), Some("karras")));
    let other = json.replace("NovelAI", "Some editor");
    let comment = [b"ASCII\0\0\0", other.as_bytes()].concat();
    assert!(read(&webp(&[(b"EXIF", &exif(true, &comment, b"x\0"))])).is_empty());

    // ComfyUI's graph as an object, and as a text in one.
    let text = quoted(graph);
    for json in [
        format!(r#"{{"prompt":{graph},"workflow":{{}}}}"#),
        format!(r#"{{"prompt":{text},"workflow":"{{}}"}}"#),
    ] {
        let comment = [b"ASCII\0\0\0", json.as_bytes()].concat();
        let found = read(&jpeg(&[(0xe1, [b"Exif\0\0".to_vec(), exif(true, &comment, b"x\0")].concat())]));
        assert_eq!((found.tool, found.steps), (Some(Tool::ComfyUi), Some(99)), "{json}");
    }
}

/// A text as JSON has it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Everything that a result can print.
fn printed(found: &GenMeta) -> String {
    format!("{found:?}")
}

#[test]
fn nothing_that_was_planted_comes_out() {
    let all = PLANTED.join(" ");
    let versions = format!(
        "Steps: 5, Sampler: {all}, Schedule type: {all}, Model hash: {all}, Lora hashes: \"{all}: {all}\", Version: {all}, Size: {all}, Clip skip: {all}"
    );
    let json = format!(
        r#"{{"app_version":"{all}","version":"{all}","metadata_scheme":"{all}","sampler":"{all}","scheduler":"{all}","model":{{"hash":"{all}"}},
        "steps":"{all}","base_model_hash":"{all}","sui_image_params":{{"swarm_version":"{all}","sampler":"{all}","scheduler":"{all}"}},
        "3":{{"class_type":"{all}","inputs":{{"sampler_name":"{all}","text":"{all}","steps":3}}}}}}"#
    );
    let mut outputs = Vec::new();
    for key in [
        "parameters",
        "prompt",
        "workflow",
        "invokeai_metadata",
        "sd-metadata",
        "Comment",
        "Software",
        "Description",
        "Title",
        "generation_data",
        "use_stable_diffusion_model",
    ] {
        for text in [A1111, versions.as_str(), json.as_str(), all.as_str()] {
            let comment = [b"ASCII\0\0\0", text.as_bytes()].concat();
            let make = format!("prompt:{text}\0");
            outputs.push(printed(&with_text(key, text)));
            outputs.push(printed(&read(&png(&[text_chunk("Software", "NovelAI"), text_chunk(key, text)]))));
            let segment = [b"Exif\0\0".to_vec(), exif(false, &comment, make.as_bytes())].concat();
            outputs.push(printed(&read(&jpeg(&[(0xe1, segment), (0xfe, text.into())]))));
        }
    }
    for word in all.split(' ').chain(PLANTED) {
        assert!(outputs.iter().all(|output| !output.contains(word)), "{word} came out");
    }
    assert!(outputs.iter().any(|output| output.contains("6ce0161689")), "digests do come out");
}

#[test]
fn bombs_and_damage_end_quickly() {
    let bomb = zlib(&vec![b'a'; TEXT_MAX_BYTES + 1]);
    let packed = chunk(b"zTXt", &[b"parameters\0\0".to_vec(), bomb].concat());
    assert!(read(&png(&[packed])).is_empty());
    let deep = "[".repeat(100_000);
    assert!(with_text("prompt", &format!("{{\"a\":{deep}")).is_empty());
    let many: Vec<Vec<u8>> =
        (0..200).map(|n| text_chunk("parameters", &format!("Steps: {}, Seed: 1", n + 1))).collect();
    assert_eq!(read(&png(&many)).steps, Some(1), "the first counts");
    let unclosed = format!("Steps: 5, {}", "a: {\"x\", ".repeat(100_000));
    assert!(with_text("parameters", &unclosed).is_empty(), "a line of settings has a bound");
    // A directory that leads to itself.
    let mut circle = exif(false, b"", b"x\0");
    circle[8 + 2 + 12 + 8..8 + 2 + 12 + 12].copy_from_slice(&8u32.to_le_bytes());
    assert!(read(&webp(&[(b"EXIF", &circle)])).is_empty());
    assert!(read(b"GIF89a").container.is_none());
    assert_eq!(read(png::SIGNATURE), GenMeta { container: Some(Container::Png), ..GenMeta::default() });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(at in 0usize..4000, byte in any::<u8>(), cut in 0usize..2000, kind in 0usize..3) {
        let comment = [b"UNICODE\0".to_vec(), A1111.encode_utf16().flat_map(u16::to_be_bytes).collect()].concat();
        let tiff = exif(true, &comment, b"prompt:{}\0");
        let mut file = match kind {
            0 => png(&[text_chunk("parameters", A1111), chunk(b"zTXt", &[b"prompt\0\0".to_vec(), zlib(b"{}")].concat())]),
            1 => jpeg(&[(0xe1, [b"Exif\0\0".to_vec(), tiff].concat())]),
            _ => webp(&[(b"EXIF", &tiff), (b"XMP ", b"digitalsourcetype/print")]),
        };
        let length = file.len();
        file[at % length] = byte;
        file.truncate(length - cut % length);
        let _ = read(&file);
    }

    #[test]
    fn any_settings_never_panic(text in "(Steps: |[a-zA-Z]{1,8}: |[0-9]{1,4}|, |\"|\\{|\\}|:|\\\\|ä|\n){0,60}") {
        let _ = with_text("parameters", &text);
        let _ = with_text("prompt", &format!("{{{text}"));
    }
}

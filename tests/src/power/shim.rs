//! Loaded into a node before its C library: remembers what was synced, so that a test can take back the rest.
//!
//! SIGKILL leaves the page cache alone, so a killed process loses nothing that it wrote. A power cut
//! does. After every `fsync` and `fdatasync` that succeeds on a file below `HASHPACT_POWER_DATA`, this keeps a
//! copy of the file's content under `HASHPACT_POWER_SHADOW`, named by its inode and birth, and one line in `syncs`. What a
//! power cut leaves in the worst case are those copies and nothing else; names are taken as durable at once.
//! `HASHPACT_POWER_IGNORE` names a suffix of files whose syncs are lies: not copied.
//!
//! Not a part of any crate: the test compiles it with the compiler that builds the workspace.

use std::ffi::{c_char, c_int, c_void};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Mutex;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// `RTLD_NEXT`: the definition behind this one.
const NEXT: *mut c_void = -1isize as *mut c_void;
/// Files up to here are copied whole, because they are overwritten in place; longer ones only grow.
const WHOLE_MAX: u64 = 64 * 1024;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(file: c_int) -> c_int {
    // SAFETY: the name is the C library's and ends in a zero.
    unsafe { synced(file, c"fsync".as_ptr()) }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(file: c_int) -> c_int {
    // SAFETY: as above.
    unsafe { synced(file, c"fdatasync".as_ptr()) }
}

unsafe fn synced(file: c_int, name: *const c_char) -> c_int {
    // SAFETY: both functions take a descriptor and give back an integer.
    let real: extern "C" fn(c_int) -> c_int = unsafe { std::mem::transmute(dlsym(NEXT, name)) };
    let outcome = real(file);
    if outcome == 0 {
        let _one = ONE_AT_A_TIME.lock();
        if let Err(error) = remember(file) {
            eprintln!("power shim: {error}");
            std::process::abort();
        }
    }
    outcome
}

fn remember(file: c_int) -> io::Result<()> {
    let (Ok(data), Ok(shadow)) =
        (std::env::var("HASHPACT_POWER_DATA"), std::env::var("HASHPACT_POWER_SHADOW"))
    else {
        return Ok(());
    };
    let handle = format!("/proc/self/fd/{file}");
    let path = fs::read_link(&handle)?;
    if !path.starts_with(&data) {
        return Ok(());
    }
    let name = path.to_string_lossy().into_owned();
    let ignored = std::env::var("HASHPACT_POWER_IGNORE").is_ok_and(|suffix| name.ends_with(&suffix));
    let about = fs::metadata(&handle)?;
    if about.is_file() && !ignored {
        copy(&handle, &about, Path::new(&shadow))?;
    }
    let mut syncs = OpenOptions::new().create(true).append(true).open(Path::new(&shadow).join("syncs"))?;
    syncs.write_all(format!("{name}\n").as_bytes())
}

/// Of a file, not of its inode: that of a deleted file is used again. `Layer` names it the same way.
fn name(about: &fs::Metadata) -> String {
    let born = about.created().ok().and_then(|born| born.duration_since(std::time::UNIX_EPOCH).ok());
    format!("{}-{}", about.ino(), born.map_or(0, |born| born.as_nanos()))
}

fn copy(handle: &str, about: &fs::Metadata, shadow: &Path) -> io::Result<()> {
    let to = shadow.join(name(about));
    let mut from = File::open(handle)?;
    let kept = fs::metadata(&to).map_or(0, |kept| kept.len());
    if kept > WHOLE_MAX && kept <= about.len() {
        from.seek(SeekFrom::Start(kept))?;
        let mut to = OpenOptions::new().append(true).open(&to)?;
        return io::copy(&mut from.take(about.len() - kept), &mut to).map(drop);
    }
    // Whole or not at all: the process may be killed here.
    let beside = to.with_extension("part");
    io::copy(&mut from.take(about.len()), &mut File::create(&beside)?)?;
    fs::rename(beside, to)
}

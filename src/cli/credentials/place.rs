//! Whether a backup is lost together with the key: what the file system of a file lies on.
//!
//! In doubt it is taken for the same disk: then a person is asked, and nobody believes in a backup that is none.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor, statfs};

/// Types of file systems that are on another machine (statfs(2)): NFS, SMB, SMB 2 and later, Ceph.
const REMOTE: [u64; 4] = [0x6969, 0x517b, 0xfe53_4d42, 0x00c3_6400];
/// The older type of SMB.
const CIFS: u64 = 0xff53_4d42;

/// Most layers (partition, LUKS, LVM, RAID) that are looked through.
const MAX_LAYERS: usize = 16;

/// What a file lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Medium {
    /// Another machine.
    Remote,
    /// These disks of this host, by their names in /sys, and whether all are attached by USB.
    Disks {
        /// Their names.
        names: BTreeSet<OsString>,
        /// Whether somebody could take them along.
        usb: bool,
    },
    /// Memory (tmpfs), a container's layers (overlay), or a file system that does not say (ZFS, btrfs, FUSE).
    Unknown,
}

impl Medium {
    /// What the file system of `path`, or of what is there of it, lies on. `sys` is where sysfs is.
    ///
    /// # Errors
    /// Why it cannot be looked at.
    pub(super) fn of(path: &Path, sys: &Path) -> io::Result<Self> {
        let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let kind = u64::try_from(statfs(there)?.f_type).unwrap_or(0);
        if REMOTE.contains(&kind) || kind == CIFS {
            return Ok(Self::Remote);
        }
        let device = fs::metadata(there)?.dev();
        let device = sys.join(format!("dev/block/{}:{}", major(device), minor(device)));
        Ok(disks(&device).unwrap_or(Self::Unknown))
    }

    /// Whether what is on it is still there when all of `own` is lost.
    pub(super) fn outlives(&self, own: &[Self]) -> bool {
        match self {
            // A host whose own disks are on a network may lose both at once.
            Self::Remote => !own.contains(&Self::Remote),
            Self::Unknown => false,
            // A second disk stays in the same machine, or is of the same virtual one. ZFS and btrfs do not say which disks
            // they use; a stick is none of them.
            Self::Disks { names, usb } => {
                let is_apart = |own: &Self| !matches!(own, Self::Disks { names: own, .. } if !names.is_disjoint(own));
                *usb && own.iter().all(is_apart)
            }
        }
    }
}

/// The disks below a block device, if there are any.
fn disks(device: &Path) -> Option<Medium> {
    let mut names = BTreeSet::new();
    let mut usb = true;
    let mut left = vec![fs::canonicalize(device).ok()?];
    for _ in 0..MAX_LAYERS {
        let Some(device) = left.pop() else { break };
        let below = below(&device);
        if !below.is_empty() {
            left.extend(below);
            continue;
        }
        // A partition is a directory in that of its disk.
        let disk = if device.join("partition").exists() { device.parent()? } else { &device };
        usb &= disk.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"usb"));
        names.insert(disk.file_name()?.to_owned());
    }
    (left.is_empty() && !names.is_empty()).then_some(Medium::Disks { names, usb })
}

/// What a device of LVM, LUKS or RAID is made of.
fn below(device: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(device.join("slaves")) else { return vec![] };
    entries.filter_map(|entry| fs::canonicalize(entry.ok()?.path()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A sysfs with two disks, of which `sda2` and `sda3` are LVM, and a stick.
    fn sysfs() -> tempfile::TempDir {
        let sys = tempfile::tempdir().expect("a directory");
        let at = |path: &str| sys.path().join("devices").join(path);
        for partition in ["ata1/sda/sda2", "ata1/sda/sda3", "ata2/sdb/sdb1", "usb1/1-2/sdc/sdc1"] {
            fs::create_dir_all(at(partition)).expect("made");
            fs::write(at(partition).join("partition"), "1").expect("written");
        }
        for (volume, partitions) in [("dm-0", &["ata1/sda/sda3"][..]), ("dm-1", &["ata1/sda/sda2", "ata2/sdb/sdb1"])] {
            fs::create_dir_all(at("virtual").join(volume).join("slaves")).expect("made");
            for partition in partitions {
                let name = Path::new(partition).file_name().expect("it has one");
                symlink(at(partition), at("virtual").join(volume).join("slaves").join(name)).expect("linked");
            }
        }
        sys
    }

    fn found(sys: &tempfile::TempDir, device: &str) -> Medium {
        disks(&sys.path().join("devices").join(device)).expect("a block device")
    }

    fn of_disks(names: &[&str], usb: bool) -> Medium {
        Medium::Disks { names: names.iter().map(OsString::from).collect(), usb }
    }

    #[test]
    fn volumes_and_partitions_are_on_their_disks() {
        let sys = sysfs();
        assert_eq!(found(&sys, "ata1/sda/sda2"), of_disks(&["sda"], false));
        assert_eq!(found(&sys, "ata2/sdb"), of_disks(&["sdb"], false));
        assert_eq!(found(&sys, "virtual/dm-0"), of_disks(&["sda"], false));
        assert_eq!(found(&sys, "virtual/dm-1"), of_disks(&["sda", "sdb"], false));
        assert_eq!(found(&sys, "usb1/1-2/sdc/sdc1"), of_disks(&["sdc"], true));
        assert_eq!(disks(&sys.path().join("dev/block/0:42")), None);
    }

    #[test]
    fn a_backup_counts_when_nothing_of_it_is_lost_with_the_key() {
        let (root, other, stick) = (of_disks(&["sda"], false), of_disks(&["sdb"], false), of_disks(&["sdc"], true));
        let both = of_disks(&["sda", "sdb"], false);
        for (backup, own, counts) in [
            (&other, vec![root.clone()], false),
            (&stick, vec![root.clone(), both.clone()], true),
            (&Medium::Remote, vec![root.clone(), Medium::Unknown], true),
            (&Medium::Remote, vec![root.clone(), Medium::Remote], false),
            (&stick, vec![Medium::Remote], true),
            (&root, vec![root.clone()], false),
            (&other, vec![root.clone(), both.clone()], false),
            (&other, vec![root.clone(), Medium::Unknown], false),
            (&stick, vec![Medium::Unknown], true),
            (&stick, vec![stick.clone()], false),
            (&Medium::Unknown, vec![root.clone()], false),
            (&Medium::Unknown, vec![Medium::Unknown], false),
        ] {
            assert_eq!(backup.outlives(&own), counts, "{backup:?} of {own:?}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_where_its_directory_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let [of_file, of_directory] = [directory.path().join("none/file"), directory.path().into()]
            .map(|path| Medium::of(&path, Path::new("/sys")).expect("it can be looked at"));
        assert_eq!(of_file, of_directory);
        assert_eq!(Medium::of(Path::new("/proc"), Path::new("/sys")).expect("it is there"), Medium::Unknown);
    }
}

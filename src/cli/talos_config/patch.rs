//! The patch as text. Pure. What Talos takes in which version was read in its packages pkg/machinery 1.5 to 1.14, into
//! which tests/system/talos-config.sh loads it.

use std::fmt;
use std::str::FromStr;

use crate::cli::channel::text::printable;
use crate::cli::seal::call::Endpoint;

/// A version of Talos, as far as its machine configuration differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u8);

impl Version {
    /// The first that knows keys from a server.
    const OLDEST: Self = Self(5);
    pub(super) const TRUSTS_NAMED_ROOTS: Self = Self(8);
    const HAS_USER_VOLUMES: Self = Self(10);
    /// Before it STATE and EPHEMERAL stand below `machine`.
    const HAS_VOLUME_DOCUMENTS: Self = Self(11);
    pub(super) const NEWEST: Self = Self(14);
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
        let (major, minor) = (numbers.next(), numbers.next().and_then(|minor| minor.parse().ok()).map(Self));
        let known = minor.filter(|minor| major == Some("1") && (Self::OLDEST..=Self::NEWEST).contains(minor));
        known.ok_or_else(|| {
            format!(
                "write a version from {} to {}; a later one takes what the last of them does",
                Self::OLDEST,
                Self::NEWEST
            )
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// What opens a volume when the server cannot.
#[derive(Debug, Clone)]
pub(super) enum Spare {
    /// A second server with the same key.
    Server(Endpoint),
    Tpm,
    NodeId,
    Static,
}

impl FromStr for Spare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tpm" => Ok(Self::Tpm),
            "node-id" => Ok(Self::NodeId),
            "static" => Ok(Self::Static),
            url if url.contains("://") => url.parse().map(Self::Server).map_err(|error| format!("{error}")),
            _ => {
                Err("write tpm, node-id, static, or the URL of a second server such as grpc://192.0.2.6:4050"
                    .to_owned())
            }
        }
    }
}

impl Spare {
    /// What it takes from the question that people are asked.
    pub(super) fn weakness(&self) -> Option<&'static str> {
        match self {
            Self::Server(_) => None,
            Self::Tpm => Some("with this spare the node boots by its TPM when nobody approves: a stolen machine boots"),
            Self::NodeId => {
                Some("with this spare the disk opens when nobody approves, for everybody who knows the node's UUID")
            }
            Self::Static => Some(
                "Talos refuses this patch until a passphrase of yours stands in it; with it the disk opens when nobody \
                 approves, for everybody who can read the machine configuration",
            ),
        }
    }
}

/// A kind of volume, with its name where people give one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Volume {
    State,
    Ephemeral,
    ImageCache,
    User(String),
    Raw(String),
    Swap(String),
}

impl Volume {
    /// The first version that encrypts it.
    pub(super) const fn since(&self) -> Version {
        match self {
            Self::State | Self::Ephemeral => Version::OLDEST,
            Self::User(_) => Version::HAS_USER_VOLUMES,
            Self::ImageCache | Self::Raw(_) | Self::Swap(_) => Version::HAS_VOLUME_DOCUMENTS,
        }
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::State | Self::Ephemeral => "system volumes",
            Self::ImageCache => "image cache",
            Self::User(_) => "user volumes",
            Self::Raw(_) => "raw volumes",
            Self::Swap(_) => "swap volumes",
        }
    }

    fn document(&self) -> (&'static str, &str) {
        match self {
            Self::State => ("VolumeConfig", "STATE"),
            Self::Ephemeral => ("VolumeConfig", "EPHEMERAL"),
            Self::ImageCache => ("VolumeConfig", "IMAGECACHE"),
            Self::User(name) => ("UserVolumeConfig", name),
            Self::Raw(name) => ("RawVolumeConfig", name),
            Self::Swap(name) => ("SwapVolumeConfig", name),
        }
    }
}

/// Takes the name of a volume as Talos does: 1 to 34 letters, digits, `-`.
pub(super) fn volume_name(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match (1..=34).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("a volume's name has 1 to 34 letters, digits, `-`"),
    }
}

/// The whole patch.
#[derive(Debug, Clone)]
pub(super) struct Patch {
    /// Name and UUID.
    pub(super) node: (String, String),
    pub(super) endpoint: Endpoint,
    pub(super) version: Version,
    pub(super) spare: Option<Spare>,
    pub(super) volumes: Vec<Volume>,
}

/// YAML: one document for each volume, and for versions before there were such documents one for both system volumes.
impl fmt::Display for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_head(f)?;
        let is_old = self.version < Version::HAS_VOLUME_DOCUMENTS;
        let is_below_machine = |volume: &&Volume| is_old && matches!(volume, Volume::State | Volume::Ephemeral);
        if is_old {
            f.write_str("machine:\n  systemDiskEncryption:\n")?;
            for volume in self.volumes.iter().filter(is_below_machine) {
                self.write_reason(f, volume, "    ")?;
                let name = if *volume == Volume::State { "state" } else { "ephemeral" };
                writeln!(f, "    {name}:")?;
                self.write_encryption(f, volume, "      ")?;
            }
        }
        for (at, volume) in self.volumes.iter().filter(|volume| !is_below_machine(volume)).enumerate() {
            if at > 0 || is_old {
                f.write_str("---\n")?;
            }
            let (kind, name) = volume.document();
            self.write_reason(f, volume, "")?;
            write!(f, "apiVersion: v1alpha1\nkind: {kind}\nname: {name}\nencryption:\n")?;
            self.write_encryption(f, volume, "  ")?;
        }
        Ok(())
    }
}

impl Patch {
    fn write_head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, uuid) = &self.node;
        let versions = match self.version < Version::HAS_VOLUME_DOCUMENTS {
            true => "1.5 to 1.10",
            false => "1.11 and later",
        };
        write!(
            f,
            "# Disk encryption of {} ({}) with keys of nightlatch, for Talos {versions}.\n\
             # talosctl machineconfig patch MACHINE-CONFIGURATION --patch @THIS-FILE --output NEW-FILE\n\
             #\n\
             # A volume is encrypted when it is formatted: one that is in use has to be wiped first. The port has to stay\n\
             # where it is: without one a node calls port 443. Slots are added to those that are there; never change all\n\
             # slots of a volume at once.\n#\n",
            printable(name),
            printable(uuid)
        )?;
        f.write_str(match &self.spare {
            None => {
                "# Slot 1 is the spare, for the day on which this server cannot answer. Talos opens a volume with the first\n\
                 # slot that works: what opens by itself lets a boot go on that nobody approved. So the spare here, which is\n\
                 # a comment until you fill it in, is a second server that has the same key, and asks people too. Without\n\
                 # it: start nightlatch on another host, with the backup of the key, under the same address.\n"
            }
            Some(Spare::Server(_)) => {
                "# Slot 1 is the spare, for the day on which this server cannot answer: a second server that has the same\n\
                 # key, and asks people too. A node takes up to 10 s to find out that the first is away.\n"
            }
            Some(Spare::Tpm) => {
                "# Slot 1 is the spare, for the day on which this server cannot answer. MIND: it opens by itself, after 10 s\n\
                 # at most, whenever nobody approves: a stolen machine boots. For a question that counts leave it out.\n"
            }
            Some(Spare::NodeId) => {
                "# Slot 1 is the spare, for the day on which this server cannot answer. MIND: it opens by itself, after 10 s\n\
                 # at most, whenever nobody approves, and for everybody who knows the UUID, which is no secret.\n"
            }
            Some(Spare::Static) => {
                "# Slot 1 is the spare, for the day on which this server cannot answer. MIND: it opens by itself, after 10 s\n\
                 # at most, whenever nobody approves, since the passphrase is in the machine configuration. Talos refuses\n\
                 # this patch until the word behind `static` is replaced as the comment there says. STATE has no such slot:\n\
                 # Talos would keep its passphrase readable, on the same disk.\n"
            }
        })?;
        if self.version >= Version::HAS_VOLUME_DOCUMENTS {
            f.write_str("#\n# These documents take the place of machine.systemDiskEncryption, which must not stand beside them.\n")?;
        }
        Ok(())
    }

    /// What has to be known about this volume.
    fn write_reason(&self, f: &mut fmt::Formatter<'_>, volume: &Volume, indent: &str) -> fmt::Result {
        match volume {
            Volume::State => {
                write!(
                    f,
                    "{indent}# STATE holds the machine configuration, and is opened before any of it is there: the node's\n\
                     {indent}# address comes from DHCP, or from ip= on the kernel command line.\n"
                )?;
                if self.endpoint.is_tls() {
                    write!(
                        f,
                        "{indent}# For the same reason it trusts certificates of public authorities alone. With a root of your\n\
                         {indent}# own it opens once, and locks the node out at its second boot: nightlatch check --tls says\n\
                         {indent}# which it is.\n"
                    )?;
                }
                Ok(())
            }
            Volume::Ephemeral if self.version < Version::HAS_VOLUME_DOCUMENTS => Ok(()),
            Volume::Ephemeral | Volume::ImageCache => write!(
                f,
                "{indent}# If your machine configuration has a document for this volume, write its provisioning below name\n\
                 {indent}# again: Talos takes a diskSelector away where a patch does not repeat it.\n"
            ),
            Volume::User(_) | Volume::Raw(_) | Volume::Swap(_) => write!(
                f,
                "{indent}# Write the provisioning of your machine configuration below name again: Talos takes a diskSelector\n\
                 {indent}# away where a patch does not repeat it, and refuses the volume without.\n"
            ),
        }
    }

    fn write_encryption(&self, f: &mut fmt::Formatter<'_>, volume: &Volume, indent: &str) -> fmt::Result {
        write!(
            f,
            "{indent}provider: luks2\n\
             {indent}keys:\n\
             {indent}  - slot: 0\n\
             {indent}    kms:\n\
             {indent}      endpoint: {}\n",
            self.endpoint
        )?;
        let scheme = if self.endpoint.is_tls() { "https" } else { "grpc" };
        match &self.spare {
            None => write!(
                f,
                "{indent}  # - slot: 1\n\
                 {indent}  #   kms:\n\
                 {indent}  #     endpoint: {scheme}://SECOND-SERVER:4050\n"
            ),
            Some(Spare::Server(endpoint)) => write!(
                f,
                "{indent}  - slot: 1\n\
                 {indent}    kms:\n\
                 {indent}      endpoint: {endpoint}\n"
            ),
            Some(Spare::Tpm) => write!(f, "{indent}  - slot: 1\n{indent}    tpm: {{}}\n"),
            Some(Spare::NodeId) => write!(f, "{indent}  - slot: 1\n{indent}    nodeID: {{}}\n"),
            Some(Spare::Static) if *volume == Volume::State => Ok(()),
            Some(Spare::Static) => write!(
                f,
                "{indent}  - slot: 1\n\
                 {indent}    # static:\n\
                 {indent}    #   passphrase: \"…\"\n\
                 {indent}    static: TO-BE-REPLACED\n"
            ),
        }
    }
}

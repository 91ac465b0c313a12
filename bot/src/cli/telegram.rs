//! The way to Telegram that the configuration describes, with the secrets and certificates that it names.

use std::io::Read;
use std::path::Path;

use super::failure::{Failure, exit};
use crate::config::Config;
use crate::credential;
use crate::telegram::{ApiUrl, Patience, Route, Telegram};

/// Longest file of certificates, in bytes.
const MAX_ROOT_LEN: usize = 1024 * 1024;

/// What to do about the file that `api_root` names.
const ROOT_HINT: &str = "api_root names the file with the certificates, in PEM, that vouch for the server behind api";

/// Reads what the configuration names. Nothing is connected yet.
pub(super) fn from_config(config: &Config) -> Result<Telegram, Failure> {
    let secret = |error: credential::Error| {
        Failure::new(exit::CONFIG, "a secret cannot be used").because(&error).hint(error.hint())
    };
    let token = credential::token(config.token_file.as_deref()).map_err(secret)?;
    let proxy = config.proxy.as_ref().map(credential::proxy).transpose().map_err(secret)?;
    let root = config.api_root.as_deref().map(root).transpose()?;
    let unusable = |error| Failure::new(exit::CONFIG, "Telegram cannot be reached as configured").because(&error);
    let api = ApiUrl::parse(config.api.as_str()).map_err(unusable)?;
    Telegram::new(token, Route { api, root, proxy, patience: Patience::default() }).map_err(unusable)
}

/// The certificates in the file at `path`. They are no secret, so whoever may read them is of no interest.
fn root(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::new(exit::CONFIG, "the certificates of the Bot API cannot be used").because(error).hint(ROOT_HINT)
    };
    let file = credential::open_file(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    file.take(MAX_ROOT_LEN as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| failed(&credential::Error::Unreadable { path: path.into(), source }))?;
    if bytes.len() > MAX_ROOT_LEN {
        let text = format!("{} is larger than 1 MiB", path.display());
        return Err(Failure::new(exit::CONFIG, text).hint(ROOT_HINT));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        root(path).expect_err("it is no file of certificates").to_string()
    }

    #[test]
    fn certificates_are_read_from_a_regular_file_up_to_1_mib_whoever_may_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("root.pem");
        std::fs::write(&path, vec![b'x'; MAX_ROOT_LEN]).expect("a file");
        assert_eq!(root(&path).expect("it is read").len(), MAX_ROOT_LEN);
        std::fs::write(&path, vec![b'x'; MAX_ROOT_LEN + 1]).expect("a file");
        assert!(refused(&path).contains("root.pem is larger than 1 MiB"));
        assert!(refused(directory.path()).contains("is not a regular file"));
        assert!(refused(&directory.path().join("none")).contains("there is no file"));
        assert!(refused(Path::new("/dev/zero")).contains("is not a regular file"), "it has no end");
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
        assert!(refused(&pipe).contains("is not a regular file"), "it is waited for");
    }
}

use std::fs;

use super::{BACKUP, Place, nobody};
use crate::cli::credentials::elsewhere::tests::Answers;
use crate::cli::exit;
use crate::state::key_record::Verification;

#[test]
fn a_backup_is_verified_where_it_is() {
    let place = Place::installed();
    let said = place.verify(&mut place.copies(&[]), "").expect("the digits are right");
    assert!(said.contains("this is the first time"), "{said}");
    assert_eq!(place.verified(), Some(Verification::Digest));
    let said = place.verify(&mut place.copies(&[]), "").expect("the digits are right");
    assert!(said.contains("the last time was 2026-11-23"), "{said}");
    let wrong = place.verify(&mut Answers::new(&["1", "2", "3"]), "").expect_err("they are not");
    assert_eq!(wrong.code(), exit::DATA);
}

#[test]
fn a_backup_on_this_host_counts_when_it_is_elsewhere_too() {
    let place = Place::installed();
    let failure = place.verify(&mut nobody(), "--backup @/home/backup").expect_err("lost with this host");
    assert!(failure.to_string().contains("nothing was recorded"), "{failure}");
    assert_eq!(place.verified(), None);
    place.verify(&mut place.copies(&[]), "--backup @/home/backup").expect("it is elsewhere");
    assert_eq!(place.verified(), Some(Verification::Digest));
}

#[test]
fn an_installation_without_a_record_gets_one_if_the_backup_is_its_key() {
    let place = Place::installed();
    fs::remove_file(place.at("var/nightlatch/key-record.json")).expect("removed");
    fs::write(place.at("home/other"), [7, 8].repeat(16)).expect("written");
    let failure = place.verify(&mut place.copies(&[]), "--backup @/home/other").expect_err("another key");
    assert_eq!(failure.code(), exit::DATA);
    assert!(failure.to_string().contains("the key of this host, `first`, has the id"), "{failure}");
    assert!(!place.at("var/nightlatch/key-record.json").exists());
    place.verify(&mut place.copies(&[]), "--backup @/home/backup").expect("its key");
    let recorded = place.recorded();
    assert_eq!((&*recorded.name, recorded.made_at), ("first", None));
}

#[test]
fn another_key_is_no_backup() {
    let place = Place::installed();
    for (name, bytes) in [("other", [7, 8].repeat(16)), ("short", vec![7; 31]), ("zeroes", vec![0; 32])] {
        fs::write(place.at("home").join(name), bytes).expect("written");
        let failure = place.verify(&mut place.copies(&[]), &format!("--backup @/home/{name}")).expect_err("no backup");
        assert_eq!(failure.code(), exit::DATA, "{failure}");
        assert_eq!(place.verified(), None);
    }
}

#[test]
fn a_passphrase_on_paper_and_in_a_file_is_a_backup_as_well() {
    let place = Place::installed();
    let passphrase = crate::secret::Passphrase::new(b"01234-56789-abcde-fghjk".to_vec()).expect("printable");
    let stretching = crate::key::stretching::Stretching::new([0xA5; 16], 8, 1, 1).expect("in range");
    let id = crate::key::stretching::key_id(&passphrase, &stretching).expect("memory");
    let config = place.at("etc/nightlatch/nightlatch.toml");
    let text = fs::read_to_string(&config).expect("read").replace("name = \"first\"", "name = \"first\"\nseals = true");
    let table = format!(
        "\n[[key]]\nname = \"typed\"\nsource = \"passphrase\"\nseals = false\nsalt = \"{}\"\nkey_id = \"{id}\"\n\
         memory = \"8KiB\"\npasses = 1\ncredential = \"nightlatch-passphrase\"\n",
        "a5".repeat(16)
    );
    fs::write(&config, text + &table).expect("written");
    fs::write(place.at(BACKUP), "01234-56789-abcde-fghjk\n").expect("written");
    let said = place.verify(&mut place.copies(&[]), "--backup @/home/backup").expect("it is the passphrase");
    assert!(said.contains(&format!("{id} (`typed`)")), "{said}");
    fs::write(place.at(BACKUP), "01234-56789-abcde-fghjx\n").expect("written");
    let failure = place.verify(&mut place.copies(&[]), "--backup @/home/backup").expect_err("mistyped");
    assert_eq!(failure.code(), exit::DATA);
}

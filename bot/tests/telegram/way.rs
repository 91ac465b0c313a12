//! What is between the bot and Telegram: TLS, proxies, and who is trusted.

use base64::Engine as _;
use nightlatch_bot::message::Failure;
use nightlatch_bot::telegram::{Identity, ProxyUrl};

use super::bot_api::front::{Authority, Front};
use super::proxy::{ENCODED, Kind, Proxy, USER};
use super::*;

/// A name that only the proxies know.
const NAME: &str = "api.nightlatch.test";

/// A Bot API behind TLS, with certificates for `names`.
struct House {
    api: BotApi,
    authority: Authority,
    front: Front,
}

impl House {
    async fn new(names: &[&str]) -> Self {
        let (api, authority) = (BotApi::start().await, Authority::new());
        let front = Front::tls(api.address(), &authority, names).await;
        Self { api, authority, front }
    }

    async fn identity(&self, url: &str, proxy: Option<&str>) -> Result<Identity, Failure> {
        self.trusting(Some(self.authority.root()), url, proxy).await
    }

    async fn trusting(&self, root: Option<Vec<u8>>, url: &str, proxy: Option<&str>) -> Result<Identity, Failure> {
        let api = ApiUrl::parse(url).expect("an address");
        let proxy = proxy.map(|url| ProxyUrl::parse(url).unwrap_or_else(|error| panic!("{error}")));
        let route = Route { api, root, proxy, patience: PATIENCE };
        Telegram::new(token(&self.api.token()), route).expect("a way").identity().await
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.front.address().port())
    }
}

#[tokio::test]
async fn a_server_of_ones_own_is_trusted_by_the_root_that_is_named() {
    let house = House::new(&["127.0.0.1", "localhost"]).await;
    for host in ["127.0.0.1", "localhost"] {
        assert!(house.identity(&house.url(host), None).await.is_ok(), "{host}");
    }
}

#[tokio::test]
async fn whoever_cannot_show_a_certificate_for_the_name_is_away_and_gets_no_token() {
    let house = House::new(&["somewhere.else.test"]).await;
    let url = house.url("127.0.0.1");
    let other = Authority::new().root();
    for root in [None, Some(other), Some(house.authority.root())] {
        let told = house.trusting(root, &url, None).await;
        let Err(Failure::Away(why)) = told else { panic!("{told:?}") };
        assert!(why.contains("certificate"), "{why}");
    }
    assert_eq!(house.api.calls("getMe").len(), 0);
}

#[tokio::test]
async fn an_http_proxy_is_asked_with_its_password() {
    let house = House::new(&[NAME]).await;
    let proxy = Proxy::start(Kind::Http, house.front.address()).await;
    let address = format!("http://{USER}:{ENCODED}@{}", proxy.address);
    assert!(house.identity(&format!("https://{NAME}"), Some(&address)).await.is_ok());
    assert_eq!(proxy.asked(), [format!("{NAME}:443")]);
}

#[tokio::test]
async fn a_proxy_may_speak_tls_itself() {
    let house = House::new(&[NAME]).await;
    let proxy = Proxy::start(Kind::Http, house.front.address()).await;
    let encrypted = Front::tls(proxy.address, &house.authority, &["127.0.0.1"]).await;
    let address = format!("https://{USER}:{ENCODED}@{}", encrypted.address());
    assert!(house.identity(&format!("https://{NAME}"), Some(&address)).await.is_ok());
    assert_eq!(proxy.asked(), [format!("{NAME}:443")]);
}

#[tokio::test]
async fn a_socks5h_proxy_looks_the_name_up() {
    let house = House::new(&[NAME]).await;
    let proxy = Proxy::start(Kind::Socks, house.front.address()).await;
    let address = format!("socks5h://{USER}:{ENCODED}@{}", proxy.address);
    assert!(house.identity(&format!("https://{NAME}"), Some(&address)).await.is_ok());
    assert_eq!(proxy.asked(), [format!("{NAME}:443")]);
}

#[tokio::test]
async fn a_socks5_proxy_gets_an_address() {
    let house = House::new(&["localhost"]).await;
    let proxy = Proxy::start(Kind::Socks, house.front.address()).await;
    let address = format!("socks5://{USER}:{ENCODED}@{}", proxy.address);
    let url = house.url("localhost");
    assert!(house.identity(&url, Some(&address)).await.is_ok());
    let asked = proxy.asked();
    assert!(asked.len() == 1 && !asked[0].starts_with("localhost"), "{asked:?}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_away_and_its_password_is_not_told() {
    let house = House::new(&[NAME]).await;
    let target = house.front.address();
    let (http, socks) = (Proxy::start(Kind::Http, target).await, Proxy::start(Kind::Socks, target).await);
    let nobody = house.api.address();
    house.api.stop().await;
    let wrong = "wrong-horse-battery";
    let log = log::all();
    for (address, reason) in [
        (format!("http://{USER}:{wrong}@{}", http.address), "authorization required"),
        (format!("socks5h://{USER}:{wrong}@{}", socks.address), ""),
        (format!("socks5h://{}", socks.address), ""),
        (format!("http://{USER}:{wrong}@{nobody}"), "refused"),
        (format!("socks5h://{USER}:{wrong}@{nobody}"), ""),
        (format!("https://{USER}:{wrong}@{}", http.address), ""),
    ] {
        let told = house.identity(&format!("https://{NAME}"), Some(&address)).await;
        let Err(failure @ Failure::Away(_)) = told else { panic!("{told:?}") };
        let told = format!("{failure} {failure:?}");
        assert!(!told.contains(wrong), "the password is told");
        assert!(told.contains(reason), "{told}");
        assert!(told.contains("through the proxy"), "{told}");
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{wrong}"));
    assert!(log.contains("reqwest"), "nothing was logged, so this shows nothing");
    assert!(!log.contains(wrong) && !log.contains(&encoded), "the log has the password");
    assert_eq!(http.asked(), [""; 0]);
}

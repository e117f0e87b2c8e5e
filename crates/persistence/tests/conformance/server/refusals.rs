//! Servers that may not keep runs are refused when the store is opened, with what to do, and without a password.

use motet_core::error::{Error, ErrorKind};
use motet_core::store::Durability;

use super::fixture::{ALWAYS, EVERYSEC};
use crate::redis_server::RedisServer;

fn refused(url: &str) -> Error {
    motet_persistence::open(url).err().unwrap_or_else(|| panic!("`{url}` was opened"))
}

#[test]
fn a_server_that_drops_keys_is_refused() {
    let Some(server) = RedisServer::start(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"])
    else {
        return;
    };
    let error = refused(&server.url("a"));
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("`maxmemory-policy` is `allkeys-lru`"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("maxmemory-policy noeviction")));
    let () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).unwrap();
    motet_persistence::open(&server.url("a")).unwrap();
}

#[test]
fn a_replica_is_refused() {
    let Some(server) = RedisServer::start(&["--replicaof", "127.0.0.1", "1"]) else { return };
    let error = refused(&server.url("a"));
    assert!(error.to_string().contains("is a replica"), "{error}");
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    let Some(server) = RedisServer::start(&["--requirepass", "s3cret"]) else { return };
    let error = refused(&server.url("a"));
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let wrong = server.url("a").replace("redis://", "redis://:gu3ss@");
    let error = refused(&wrong);
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!format!("{error:?}").contains("gu3ss"), "{error:?}");
    motet_persistence::open(&wrong.replace("gu3ss", "s3cret")).unwrap();
}

#[test]
fn a_server_that_is_not_there_is_told_with_its_address() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&format!("redis://:s3cret@127.0.0.1:{port}"));
    assert!(error.to_string().contains(&format!("`127.0.0.1:{port}` cannot be reached")), "{error}");
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[test]
fn the_durability_is_that_of_the_server() {
    for (options, durability) in [
        (ALWAYS, Durability::Fsync),
        (EVERYSEC, Durability::Process),
        (["--appendonly", "yes", "--appendfsync", "no"], Durability::None),
        (["--appendonly", "no", "--appendfsync", "always"], Durability::None),
    ] {
        let Some(server) = RedisServer::start(&options) else { return };
        let store = motet_persistence::open(&server.url("a")).unwrap();
        assert_eq!(store.capabilities().durability, durability, "{options:?}");
    }
}

#[test]
fn without_the_right_to_config_the_store_opens_and_claims_the_less() {
    let Some(server) = RedisServer::start(&ALWAYS) else { return };
    let () = server.ask(&["ACL", "SETUSER", "managed", "on", ">pw", "~*", "&*", "+@all", "-config"]).unwrap();
    let url = server.url("a").replace("redis://", "redis://managed:pw@");
    assert_eq!(motet_persistence::open(&url).unwrap().capabilities().durability, Durability::Process);
}

#[test]
fn what_a_newer_program_wrote_is_refused() {
    let Some(server) = RedisServer::start(&EVERYSEC) else { return };
    motet_persistence::open(&server.url("a")).unwrap();
    let () = server.ask(&["HSET", "{a}:meta", "format", "99"]).unwrap();
    assert!(refused(&server.url("a")).to_string().contains("format 99"));
    motet_persistence::open(&server.url("b")).unwrap();
}

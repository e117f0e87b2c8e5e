//! Conversations: versions, turns, cuts, forks, and their order.

use motet_core::conversation::{
    Addition, Conversation, ConversationFilter, ConversationHead, ConversationId, ConversationStore,
    Measured, NewConversation, Summary, Turn,
};
use motet_core::error::{Error, ErrorKind};
use motet_core::message::{Message, Part, Role, ToolCall, ToolResult};
use motet_core::store::SharedStore;
use motet_core::usage::{Cost, Usage};

fn kept(store: &SharedStore) -> &dyn ConversationStore {
    store.conversations().expect("this store keeps no conversations")
}

fn id(text: &str) -> ConversationId {
    text.parse().unwrap()
}

/// A question and its answer, which cost 10 tokens and 7 nano-dollars.
fn turn(question: &str) -> Turn {
    let messages = vec![Message::user(question), Message::assistant(format!("{question}!"))];
    let mut turn = Turn::new(messages);
    (turn.usage, turn.cost) = (Usage::new(6, 4), Some(Cost::from_nanos(7)));
    (turn.agent, turn.model) = (Some("guide".into()), Some("scripted:one".parse().unwrap()));
    turn
}

/// A question that a tool helped to answer: four messages.
fn tool_turn() -> Turn {
    let call =
        ToolCall { id: "c1".into(), name: "now".into(), arguments: "{}".into(), minted: false, opaque: None };
    let result = ToolResult {
        id: "c1".into(),
        name: "now".into(),
        content: vec![Part::text("noon")],
        is_error: false,
    };
    let mut turn = turn("When?");
    turn.messages.insert(1, Message { role: Role::Assistant, parts: vec![Part::ToolCall(call)] });
    turn.messages.insert(2, Message::tool(vec![result]));
    turn.measured = Some(Measured { messages: 4, summarised: 0, input: 9, output: 3, estimated: 8 });
    turn
}

async fn create(store: &SharedStore, name: &str, turns: Vec<Turn>) -> ConversationHead {
    let mut new = NewConversation::new(id(name));
    new.turns = turns;
    kept(store).create(new).await.unwrap()
}

async fn load(store: &SharedStore, name: &str) -> Conversation {
    kept(store).load(&id(name)).await.unwrap().unwrap()
}

/// The questions of a conversation, such as `a b`.
fn questions(conversation: &Conversation) -> String {
    let asked = conversation.messages().filter(|message| message.role == Role::User);
    asked.map(Message::visible_text).collect::<Vec<_>>().join(" ")
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (ErrorKind, bool) {
    let error = result.unwrap_err();
    (error.kind(), error.hint().is_some())
}

pub(crate) async fn what_was_kept_of_a_conversation_is_given_back(store: SharedStore) {
    let mut new = NewConversation::new(id("trip"));
    new.title = "A trip to Zürich 🚂".into();
    new.instructions = "Be brief.\n".into();
    new.turns = vec![turn("Hi"), tool_turn()];
    new.summaries = vec![Summary::new(2, "They met.")];
    let head = kept(&store).create(new.clone()).await.unwrap();
    assert_eq!((head.version, head.turns, head.messages), (0, 2, 6));
    assert_eq!((head.usage, head.cost), (Usage::new(12, 8), Some(Cost::from_nanos(14))));
    let loaded = load(&store, "trip").await;
    assert_eq!((&loaded.turns, &loaded.summaries), (&new.turns, &new.summaries));
    assert_eq!((loaded.head.title.as_str(), loaded.head.instructions.as_str()), (&*new.title, "Be brief.\n"));
    assert_eq!(kept(&store).head(&id("trip")).await.unwrap(), Some(loaded.head));
}

pub(crate) async fn an_id_can_be_taken_once(store: SharedStore) {
    create(&store, "trip", vec![turn("a")]).await;
    let again = kept(&store).create(NewConversation::new(id("trip"))).await;
    assert_eq!(refused(again), (ErrorKind::Conflict, true));
    create(&store, "other", Vec::new()).await;
    let empty = Addition::turns(vec![Turn::new(Vec::new())]);
    let empty = kept(&store).append(&id("other"), 0, empty).await;
    assert_eq!(empty.unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert_eq!(refused(kept(&store).fork(&id("trip"), None, id("other")).await), (ErrorKind::Conflict, true));
    assert_eq!(load(&store, "other").await.turns, []);
    assert_eq!(questions(&load(&store, "trip").await), "a");
}

pub(crate) async fn a_turn_is_added_to_the_version_expected_and_only_to_that(store: SharedStore) {
    create(&store, "trip", Vec::new()).await;
    let mut addition = Addition::turns(vec![turn("a")]);
    addition.instructions = Some("Be kind.".into());
    let head = kept(&store).append(&id("trip"), 0, addition).await.unwrap();
    assert_eq!((head.version, head.messages, head.instructions.as_str()), (1, 2, "Be kind."));
    assert_eq!((head.agent.as_deref(), head.model.clone()), (Some("guide"), turn("a").model));
    let late = kept(&store).append(&id("trip"), 0, Addition::turns(vec![turn("late")])).await;
    assert_eq!(refused(late), (ErrorKind::Conflict, true));
    let mut addition = Addition::turns(vec![turn("b")]);
    addition.summaries = vec![Summary::new(2, "a")];
    let head = kept(&store).append(&id("trip"), 1, addition).await.unwrap();
    assert_eq!((head.version, head.turns), (2, 2));
    let loaded = load(&store, "trip").await;
    assert_eq!((questions(&loaded).as_str(), loaded.head, loaded.summaries.len()), ("a b", head, 1));
}

pub(crate) async fn of_many_who_add_at_once_one_wins(store: SharedStore) {
    create(&store, "trip", Vec::new()).await;
    let id = id("trip");
    let adds = (0..20)
        .map(|number: u32| kept(&store).append(&id, 0, Addition::turns(vec![turn(&number.to_string())])));
    let ended = futures::future::join_all(adds).await;
    assert_eq!(ended.iter().filter(|result| result.is_ok()).count(), 1);
    let loaded = load(&store, "trip").await;
    assert_eq!((loaded.head.version, loaded.turns.len()), (1, 1));
}

pub(crate) async fn what_follows_a_message_is_taken_back_and_replaced_at_once(store: SharedStore) {
    create(&store, "trip", vec![turn("a"), turn("b"), turn("c")]).await;
    let mut addition = Addition::turns(vec![turn("d")]).keeping(2);
    addition.summaries = vec![Summary::new(2, "a")];
    let head = kept(&store).append(&id("trip"), 0, addition).await.unwrap();
    let loaded = load(&store, "trip").await;
    assert_eq!(questions(&loaded), "a d");
    assert_eq!((head.turns, head.messages, head.usage.total()), (2, 4, 40), "what was spent stays spent");
    // A turn of which only the question is kept is still one, and a summary of more than is kept goes.
    let head = kept(&store).append(&id("trip"), 1, Addition::default().keeping(1)).await.unwrap();
    assert_eq!((head.turns, head.messages), (1, 1));
    let loaded = load(&store, "trip").await;
    assert_eq!((loaded.head, loaded.turns[0].messages.len(), loaded.summaries.len()), (head, 1, 0));
    let head = kept(&store).append(&id("trip"), 2, Addition::default().keeping(0)).await.unwrap();
    assert_eq!((head.turns, head.messages, head.agent, head.model), (0, 0, None, None));
}

pub(crate) async fn a_cut_through_a_tool_round_is_refused_and_changes_nothing(store: SharedStore) {
    create(&store, "trip", vec![tool_turn()]).await;
    let before = load(&store, "trip").await;
    for keep in [2, 5] {
        let edit = kept(&store).append(&id("trip"), 0, Addition::turns(vec![turn("x")]).keeping(keep)).await;
        assert_eq!(refused(edit).0, ErrorKind::InvalidRequest, "{keep}");
        let fork = kept(&store).fork(&id("trip"), Some(keep), id("fork")).await;
        assert_eq!(refused(fork).0, ErrorKind::InvalidRequest, "{keep}");
    }
    assert_eq!(load(&store, "trip").await, before);
    assert_eq!(kept(&store).load(&id("fork")).await.unwrap(), None);
    for keep in [1, 3, 4] {
        let name = id(&format!("fork{keep}"));
        assert_eq!(kept(&store).fork(&id("trip"), Some(keep), name).await.unwrap().messages, keep);
    }
}

pub(crate) async fn a_fork_holds_the_beginning_and_goes_its_own_way(store: SharedStore) {
    let mut new = NewConversation::new(id("trip"));
    new.turns = vec![turn("a"), turn("b")];
    new.summaries = vec![Summary::new(2, "a"), Summary::new(4, "a b")];
    kept(&store).create(new).await.unwrap();
    let head = kept(&store).fork(&id("trip"), Some(2), id("fork")).await.unwrap();
    assert_eq!((head.version, head.turns, head.messages), (0, 1, 2));
    assert_eq!((head.usage.total(), head.cost), (0, Some(Cost::ZERO)), "the turns were paid for once");
    kept(&store).append(&id("fork"), 0, Addition::turns(vec![turn("c")])).await.unwrap();
    let (fork, trip) = (load(&store, "fork").await, load(&store, "trip").await);
    assert_eq!((questions(&fork).as_str(), questions(&trip).as_str()), ("a c", "a b"));
    assert_eq!((fork.summaries.len(), trip.summaries.len()), (1, 2));
    kept(&store).fork(&id("trip"), None, id("whole")).await.unwrap();
    assert_eq!(load(&store, "whole").await.turns, trip.turns);
}

pub(crate) async fn the_one_changed_last_stands_first_in_the_list(store: SharedStore) {
    for name in ["one", "two", "three"] {
        create(&store, name, Vec::new()).await;
    }
    kept(&store).append(&id("one"), 0, Addition::turns(vec![turn("a")])).await.unwrap();
    kept(&store).rename(&id("two"), "on the moon").await.unwrap();
    for (text, limit, found) in
        [(None, 0, "one three two"), (None, 2, "one three"), (Some("on"), 0, "one two"), (Some("%"), 0, "")]
    {
        let filter = ConversationFilter { text: text.map(str::to_owned), limit };
        let heads = kept(&store).list(&filter).await.unwrap();
        let names: Vec<_> = heads.iter().map(|head| head.id.as_str()).collect();
        assert_eq!(names.join(" "), found, "{filter:?}");
    }
}

pub(crate) async fn a_new_title_leaves_the_version(store: SharedStore) {
    create(&store, "trip", vec![turn("a")]).await;
    kept(&store).rename(&id("trip"), "Rome").await.unwrap();
    let head = kept(&store).append(&id("trip"), 0, Addition::turns(vec![turn("b")])).await.unwrap();
    assert_eq!((head.title.as_str(), head.version), ("Rome", 1));
}

pub(crate) async fn what_is_deleted_is_gone_with_its_messages(store: SharedStore) {
    create(&store, "trip", vec![turn("a")]).await;
    create(&store, "other", vec![turn("b")]).await;
    assert!(kept(&store).delete(&id("trip")).await.unwrap());
    assert!(!kept(&store).delete(&id("trip")).await.unwrap());
    assert_eq!(kept(&store).load(&id("trip")).await.unwrap(), None);
    create(&store, "trip", Vec::new()).await;
    assert_eq!(load(&store, "trip").await.turns, []);
    assert_eq!(questions(&load(&store, "other").await), "b");
}

pub(crate) async fn an_unknown_conversation_is_not_found(store: SharedStore) {
    let nobody = id("nobody");
    assert_eq!(kept(&store).load(&nobody).await.unwrap(), None);
    assert_eq!(kept(&store).head(&nobody).await.unwrap(), None);
    let not_found = (ErrorKind::NotFound, true);
    assert_eq!(refused(kept(&store).append(&nobody, 0, Addition::default()).await), not_found);
    assert_eq!(refused(kept(&store).fork(&nobody, None, id("new")).await), not_found);
    assert_eq!(refused(kept(&store).rename(&nobody, "x").await), not_found);
}

pub(crate) async fn five_hundred_turns_are_added_one_by_one(store: SharedStore) {
    create(&store, "long", Vec::new()).await;
    for number in 0..500 {
        let turn = turn(&number.to_string());
        kept(&store).append(&id("long"), number, Addition::turns(vec![turn])).await.unwrap();
    }
    let loaded = load(&store, "long").await;
    assert_eq!((loaded.head.version, loaded.head.messages, loaded.turns.len()), (500, 1_000, 500));
    assert_eq!(loaded.turns[499].messages[0].visible_text(), "499");
}

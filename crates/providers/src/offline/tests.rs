//! x
use super::*;
use motet_core::model::chat;
use motet_core::request::JsonSchemaOutput;

#[tokio::test]
async fn show() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/documents");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        println!("\n=== {}", path.file_name().unwrap().to_string_lossy());
        let ask = |i: &str, schema: Option<serde_json::Value>| {
            let id: ModelId = "offline:extract".parse().unwrap();
            let mut r = ChatRequest::new(
                id.clone(),
                vec![Message::user(format!("{i}\n\nFile content from x:\n{text}"))],
            );
            if let Some(schema) = schema {
                r.output = Output::JsonSchema(JsonSchemaOutput { name: "x".into(), schema, strict: true });
            }
            async move {
                chat(&OfflineExtract::new(&id).unwrap(), &RunContext::new(), &r)
                    .await
                    .map(|r| r.text())
                    .unwrap_or_else(|e| format!("ERR {e}"))
            }
        };
        println!("SUM: {}", ask("Summarise this.", None).await);
        println!("2S: {}", ask("Summarise in 2 sentences", None).await);
        println!("30W: {}", ask("At most 30 words", None).await);
        println!("BUL:\n{}", ask("Summarise in three bullet points", None).await);
        let s = serde_json::json!({"type":"object","properties":{"title":{"type":"string"},"language":{"type":"string"},
          "people":{"type":"array","items":{"type":"string"}},"dates":{"type":"array","items":{"type":"string","format":"date"}},
          "topics":{"type":"array","items":{"type":"string"}},"organisations":{"type":"array","items":{"type":"string"}},"emails":{"type":"array","items":{"type":"string"}},
          "amounts":{"type":"array","items":{"type":"string"}},"decisions":{"type":"array","items":{"type":"string"}}, "author":{"type":"string"}, "has_deadline":{"type":"boolean"}},
          "required":["title","language","people","dates","topics"]});
        let v: serde_json::Value = serde_json::from_str(&ask("Extract", Some(s)).await).unwrap();
        for (k, v) in v.as_object().unwrap() {
            println!("  {k}: {v}");
        }
        let s = serde_json::json!({"type":"object","properties":{
        "people":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"role":{"type":"string"},"mentions":{"type":"integer"}},"required":["name"]}},
        "actions":{"type":"array","items":{"type":"object","properties":{"owner":{"type":"string"},"task":{"type":"string"},"due":{"type":"string","format":"date"}},"required":["task"]}},
        "events":{"type":"array","maxItems":4,"items":{"type":"object","properties":{"date":{"type":"string"},"description":{"type":"string"}},"required":["date","description"]}}
        }});
        let v: serde_json::Value = match serde_json::from_str(&ask("Extract", Some(s)).await) {
            Ok(v) => v,
            Err(e) => {
                println!("{e}");
                continue;
            }
        };
        for (k, v) in v.as_object().unwrap() {
            println!("  {k}:");
            for i in v.as_array().unwrap() {
                println!("     {i}");
            }
        }
    }
}
#[tokio::test]
async fn qa() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/documents");
    for (file, q) in [
        ("incident-report.md", "Why could customers not pay by card?"),
        ("incident-report.md", "Who approved the new certificate?"),
        ("incident-report.md", "How much did the outage cost?"),
        ("incident-report.md", "When did the certificate expire?"),
        ("council-minutes.md", "Who presented the plan for the sea wall?"),
        ("council-minutes.md", "How much will the second phase of the sea wall cost?"),
        ("council-minutes.md", "When does the library open on Sundays?"),
        ("council-minutes.md", "What did Gareth Pryce ask?"),
        ("betriebsrat-aushang.md", "Wann findet die nächste Betriebsversammlung statt?"),
        ("betriebsrat-aushang.md", "Wer leitet die Schulung?"),
        ("betriebsrat-aushang.md", "Wie hoch ist der Zuschlag?"),
        ("meeting-notes.md", "Where did the meeting take place?"),
        ("contract-clause.txt", "What happens if the availability falls below 97%?"),
        ("contract-clause.txt", "How long is the notice period for termination?"),
        ("letter.txt", "When will the refund be paid?"),
        ("short-note.txt", "Who has the key?"),
        ("research-memo.md", "What is the recommendation?"),
        ("research-memo.md", "How long did trial lorries wait?"),
        ("customer-interview.md", "What does Northgate Foods want most?"),
        ("unicode-notes.md", "Was the test run in Kiel successful?"),
        ("unicode-notes.md", "What is the price of tea in China?"),
        ("status-thread.txt", "List the people"),
        ("status-thread.txt", "Extract all dates"),
        ("changelog.md", "Which language is this?"),
    ] {
        let text = std::fs::read_to_string(format!("{dir}/{file}")).unwrap();
        let id: ModelId = "offline:extract".parse().unwrap();
        let r =
            ChatRequest::new(id.clone(), vec![Message::user(format!("{q}\n\nFile content from x:\n{text}"))]);
        let a = chat(&OfflineExtract::new(&id).unwrap(), &RunContext::new(), &r).await.unwrap().text();
        println!("Q {q}\n  A {a}");
    }
}

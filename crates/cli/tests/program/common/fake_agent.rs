//! An HTTP server in place of an agent, which answers as the test says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

/// Serves until the test ends and returns the address. `answer` maps the path
/// of a request to a status and a result, or to a status and an error.
pub(crate) fn fake_agent(answer: impl Fn(&str) -> (u16, Value) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(&mut stream.unwrap(), &answer);
        }
    });
    address
}

fn serve(stream: &mut TcpStream, answer: &impl Fn(&str) -> (u16, Value)) {
    let mut lines = BufReader::new(&mut *stream);
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut header = String::new();
        lines.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    lines.read_exact(&mut vec![0; length]).unwrap();
    let path = first.split_whitespace().nth(1).unwrap_or_default();
    let (status, value) = answer(path);
    let part = if status == 200 { "result" } else { "error" };
    let body = json!({ "schema_version": 1, part: value }).to_string();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
}

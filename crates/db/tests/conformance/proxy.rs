//! A server that can be away: a forwarder of bytes that stops and starts at will, on one port.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub struct Proxy {
    port: u16,
    to: String,
    running: Option<Running>,
}

struct Running {
    over: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Forwards a port of ours to the server of `url`; gives the URL that goes through it.
    pub fn start(url: &str) -> (Proxy, String) {
        let (before, after) = url.split_once('@').unwrap();
        let (host, database) = after.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut proxy = Proxy { port, to: host.to_owned(), running: None };
        proxy.accept(listener);
        (proxy, format!("{before}@127.0.0.1:{port}/{database}"))
    }

    /// Ends every connection, and refuses new ones.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port)); // so that the accepting thread looks
        running.accepting.join().unwrap();
        for stream in running.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub fn resume(&mut self) {
        self.accept(TcpListener::bind(("127.0.0.1", self.port)).unwrap());
    }

    fn accept(&mut self, listener: TcpListener) {
        let (over, streams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_over, opened, to) = (over.clone(), streams.clone(), self.to.clone());
        let accepting = std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let server = TcpStream::connect(&to).unwrap();
                for (from, into) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut into) = (from.try_clone().unwrap(), into.try_clone().unwrap());
                    opened.lock().unwrap().push(from.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let mut bytes = [0; 8192];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            if into.write_all(&bytes[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = into.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        self.running = Some(Running { over, streams, accepting });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

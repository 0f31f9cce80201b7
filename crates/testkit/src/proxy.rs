//! A network that can fail: a forwarder of bytes on one port, which can end every connection, or swallow every byte.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// What is forwarded at once.
const CHUNK: usize = 8192;

/// A forwarder; it ends with this value.
pub struct Proxy {
    port: u16,
    to: String,
    running: Option<Running>,
    gate: Arc<Gate>,
}

struct Running {
    over: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: JoinHandle<()>,
}

/// Closed while bytes are held back.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.closed.lock().expect("not poisoned") = closed;
        self.opened.notify_all();
    }
    fn pass(&self) {
        let closed = self.closed.lock().expect("not poisoned");
        drop(self.opened.wait_while(closed, |closed| *closed).expect("not poisoned"));
    }
}

impl Proxy {
    /// Forwards a port of ours to the server of `url`; gives the URL that goes through it.
    ///
    /// # Panics
    /// Like all of this, when the machine has no port or thread to give.
    pub fn start(url: &str) -> (Proxy, String) {
        let (before, after) = url.split_once('@').expect("a URL with a user");
        let (host, database) = after.split_once('/').expect("a URL with a database");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut proxy = Proxy { port, to: host.to_owned(), running: None, gate: Arc::default() };
        proxy.accept(listener);
        (proxy, format!("{before}@127.0.0.1:{port}/{database}"))
    }

    /// Ends every connection, and refuses new ones.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port)); // so that the accepting thread looks
        running.accepting.join().expect("the accepting thread does not panic");
        for stream in running.streams.lock().expect("not poisoned").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub fn resume(&mut self) {
        self.accept(TcpListener::bind(("127.0.0.1", self.port)).expect("the port is still ours"));
    }

    /// Takes connections and bytes, and passes none on: neither end learns of it.
    pub fn swallow(&self) {
        self.gate.set(true);
    }

    /// Passes on again, also what was held back.
    pub fn pass(&self) {
        self.gate.set(false);
    }

    fn accept(&mut self, listener: TcpListener) {
        let (over, streams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_over, opened, to, gate) = (over.clone(), streams.clone(), self.to.clone(), self.gate.clone());
        let accepting = std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                // A server that is down: the client sees its connection end.
                let Ok(server) = TcpStream::connect(&to) else { continue };
                for (from, into) in [(&client, &server), (&server, &client)] {
                    let (Ok(mut from), Ok(mut into)) = (from.try_clone(), into.try_clone()) else { continue };
                    opened.lock().expect("not poisoned").extend(from.try_clone());
                    let gate = gate.clone();
                    std::thread::spawn(move || {
                        let mut bytes = [0; CHUNK];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            gate.pass();
                            if into.write_all(&bytes[..count]).is_err() {
                                break;
                            }
                        }
                        gate.pass();
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
        self.gate.set(false);
        self.stop();
    }
}

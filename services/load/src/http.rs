//! Asking a server's admin address: plain GETs, and what its metrics say.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(2);

/// GET over HTTP/1.0: status and body.
///
/// # Errors
/// No answer within two seconds, or none that is HTTP.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or_else(|| io::Error::other("no HTTP answer"))?, body.to_owned()))
}

/// The sum of the samples of a metric whose labels contain `label`; 0 if there are none.
pub(crate) fn metric(text: &str, name: &str, label: &str) -> f64 {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        ((labels.is_empty() || labels.starts_with('{')) && labels.contains(label)).then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_of_its_samples() {
        let text = "# TYPE a counter\na_total{result=\"memory\"} 3\na_total{result=\"log\"} 4\na_total_x 9\nb 2\n";
        assert_eq!(metric(text, "a_total", ""), 7.0);
        assert_eq!(metric(text, "a_total", "\"memory\""), 3.0);
        assert_eq!((metric(text, "b", ""), metric(text, "c", "")), (2.0, 0.0));
    }
}

//! Features of random images as often as it is told to, for bench/against_inception.py: `inception WEIGHTS COUNT SIZE` prints a line when it is
//! ready, and then, for each line that it reads, the seconds that COUNT images of SIZE×SIZE pixels took.

#![allow(clippy::print_stdout)] // it is a program

use ddim_nn::Inception;
use std::path::Path;
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, weights, count, size] = arguments.as_slice() else { panic!("usage: inception WEIGHTS COUNT SIZE") };
    let (count, size): (usize, usize) = (count.parse().expect("a number"), size.parse().expect("a number"));
    let net = Inception::load(Path::new(weights)).expect("weights");
    let pixels: Vec<u8> = (0..count * size * size * 3).map(|i| ((i * i) % 251) as u8).collect();
    net.features(&pixels, [size, size]).expect("features");
    println!("ready");
    for _ in std::io::stdin().lines() {
        let start = Instant::now();
        net.features(&pixels, [size, size]).expect("features");
        println!("{}", start.elapsed().as_secs_f64());
    }
}

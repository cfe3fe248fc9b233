//! PNG files with a caption.

use crate::picture::Picture;

impl Picture {
    /// A PNG file with `caption` as its Description.
    pub fn to_png(&self, caption: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = encoder(&mut bytes, self, caption).write_header().expect("writing to memory");
        writer.write_image_data(&self.pixels).expect("as many pixels as the header says");
        writer.finish().expect("writing to memory");
        bytes
    }
}

/// Of pictures like `like`, into memory.
fn encoder<'a>(bytes: &'a mut Vec<u8>, like: &Picture, caption: &str) -> png::Encoder<'static, &'a mut Vec<u8>> {
    let mut encoder = png::Encoder::new(bytes, like.width as u32, like.height as u32);
    encoder.set_color(match like.channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_depth(png::BitDepth::Eight);
    let text = [("Description", caption), ("Software", concat!("ddim ", env!("CARGO_PKG_VERSION")))];
    for (keyword, value) in text {
        encoder.add_itxt_chunk(keyword.to_owned(), value.to_owned()).expect("keywords are valid");
    }
    encoder
}

#[cfg(test)]
mod tests {
    use crate::picture::single;

    #[test]
    fn captions_survive_in_the_png() {
        let caption = "ddim sample --eta 0.5 (η)";
        let bytes = single(&[0.0; 16], [1, 4, 4]).unwrap().to_png(caption);
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let texts: Vec<String> = reader.info().utf8_text.iter().map(|t| t.get_text().unwrap()).collect();
        assert_eq!(texts[0], caption);
    }
}

/** @file Small grey pictures of images. */

/** Grey levels of an image of `edge` by `edge` pixels, whatever its shape; undefined for an unreadable file. */
export async function greyThumbnail(file: string, edge: number): Promise<Uint8Array | undefined> {
  const { default: sharp } = await import('sharp');
  try {
    return new Uint8Array(
      await sharp(file, { limitInputPixels: false }).resize(edge, edge, { fit: 'fill' }).greyscale().raw().toBuffer(),
    );
  } catch {
    return undefined;
  }
}

/** @file Decodes Vorbis with @wasm-audio-decoders/ogg-vorbis; the only file that imports it. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { cutPieces, type OpenAudio, optionalPackage } from '../audioFormat.ts';
import { DAMAGED, decodeChunks } from '../decodeChunks.ts';
import { oggPages } from './oggPages.ts';

const MAX_CHANNELS = 8;

/**
 * Opens an Ogg file whose first packet is `head`, at whose first page `bytes` stands.
 *
 * @throws OnnxLoraError `DATA_INVALID` when the header says nonsense, or the decoder is not installed
 * @see https://xiph.org/vorbis/doc/Vorbis_I_spec.html section 4.2.2
 */
export async function openVorbis(bytes: ByteCursor, head: Uint8Array): Promise<OpenAudio> {
  const { OggVorbisDecoder } = await optionalPackage(
    bytes,
    'Vorbis',
    '@wasm-audio-decoders/ogg-vorbis',
    () => import('@wasm-audio-decoders/ogg-vorbis'),
  );
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const shape =
    head.length < 30 ? { channels: 0, sampleRate: 0 } : { channels: head[11]!, sampleRate: view.getUint32(12, true) };
  if (shape.channels < 1 || shape.channels > MAX_CHANNELS || shape.sampleRate < 1) {
    throw audioInvalid(
      bytes,
      `is Vorbis of ${shape.channels} channels at ${shape.sampleRate} Hz, which is not read. ${DAMAGED}`,
    );
  }
  return {
    ...shape,
    async *pieces(start, end) {
      let first: number | undefined;
      let last = 0;
      const pages = async function* (): AsyncGenerator<Uint8Array> {
        for await (const page of oggPages(bytes)) {
          if (page.granule !== undefined && page.granule > 0) {
            first ??= page.granule;
            last = page.granule;
          }
          yield page.bytes;
        }
      };
      let frames = 0;
      const decoded = decodeChunks(bytes, new OggVorbisDecoder(), pages(), shape);
      const counted = async function* (): AsyncGenerator<readonly Float32Array[]> {
        for await (const piece of decoded) {
          frames += piece[0]!.length;
          yield piece;
        }
        // A recording of a broadcast begins with another count than 0, so its first page says nothing.
        if (frames < last - (first ?? 0)) {
          throw audioInvalid(bytes, `is damaged: ${last} samples are announced, but ${frames} came. ${DAMAGED}`);
        }
      };
      yield* cutPieces(counted(), start, end);
    },
  };
}

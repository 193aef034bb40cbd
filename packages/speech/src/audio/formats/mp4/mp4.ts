/** @file MP4 (M4A) with AAC, decoded by node-web-audio-api; the only file that imports it. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { cutPieces, type OpenAudio, optionalPackage, type AudioFormat } from '../audioFormat.ts';
import { type ChunkDecoder, DAMAGED, decodeChunks } from '../decodeChunks.ts';
import { boxAt, firstBox, packetPlaces, packetTimes, viewOf } from './packetPlaces.ts';

const PACKETS = 48;
/** Extra packets decoded before a chunk, since each overlaps with the previous one. */
const OVERLAP = 2;

/** The part of the Web Audio API in use; the package's types would import a browser's. */
interface WebAudio {
  readonly OfflineAudioContext: new (channels: number, length: number, sampleRate: number) => OfflineContext;
}

interface OfflineContext {
  decodeAudioData(bytes: ArrayBuffer): Promise<{
    readonly sampleRate: number;
    readonly numberOfChannels: number;
    readonly length: number;
    getChannelData(channel: number): Float32Array;
  }>;
}

/** AAC-LC of one or two channels in MP4, as phones record it. */
export const mp4: AudioFormat = {
  name: 'MP4',
  fileEndings: ['.m4a', '.mp4'],
  recognises: (head) => Buffer.from(head.subarray(4, 8)).toString('latin1') === 'ftyp',
  async open(bytes): Promise<OpenAudio> {
    const name: string = 'node-web-audio-api';
    const { OfflineAudioContext } = await optionalPackage(
      bytes,
      'AAC',
      name,
      async () => (await import(name)) as WebAudio,
    );
    const track = await aacTrack(bytes);
    const { sampleRate, channels, frames } = track;
    return {
      sampleRate,
      channels,
      frames,
      async *pieces(start, end) {
        const decoder = chunkDecoder(new OfflineAudioContext(1, 1, sampleRate));
        // Chunks begin at fixed packets whatever the span, because a decoder draws new noise for each chunk.
        const first = Math.floor((track.before + start) / PACKET_SAMPLES);
        const skipped = first - (first % PACKETS);
        const offset = track.before - skipped * PACKET_SAMPLES;
        const decoded = decodeChunks(bytes, decoder, chunks(track, skipped), track);
        let count = 0;
        for await (const piece of cutPieces(decoded, offset + start, offset + Math.min(end, frames))) {
          count += piece[0]!.length;
          yield piece;
        }
        if (count < Math.min(end, frames) - start) throw cutShort(bytes, frames);
      },
    };
  },
};

function cutShort(bytes: ByteCursor, frames: number): Error {
  return audioInvalid(bytes, `is cut short: not all of ${frames} samples that are announced came. ${DAMAGED}`);
}

interface Chunk {
  readonly bytes: Uint8Array;
  readonly packets: number;
  /** Overlapping packets at its beginning. */
  readonly overlap: number;
}

/** Chunks from packet `skipped` on, each with its overlap. */
async function* chunks(track: AacTrack, skipped: number): AsyncGenerator<Chunk> {
  for (let at = skipped; at < track.packets.length; at += PACKETS) {
    const overlap = Math.min(OVERLAP, at);
    const packets = track.packets.slice(at - overlap, at + PACKETS);
    yield { bytes: Buffer.concat(packets.map((packet) => adts(packet, track))), packets: packets.length, overlap };
  }
}

function adts(packet: Uint8Array, { rateIndex, channels }: AacTrack): Uint8Array {
  const length = packet.length + 7;
  const header = [
    0xff,
    0xf1,
    0x40 | (rateIndex << 2),
    (channels << 6) | (length >> 11),
    (length >> 3) & 0xff,
    ((length & 7) << 5) | 0x1f,
    0xfc,
  ];
  const bytes = new Uint8Array(length);
  bytes.set(header);
  bytes.set(packet, header.length);
  return bytes;
}

function chunkDecoder(context: OfflineContext): ChunkDecoder<Chunk> {
  return {
    ready: Promise.resolve(),
    async decode({ bytes, packets, overlap }) {
      // The library takes ownership of the copy.
      const audio = await context.decodeAudioData(Uint8Array.from(bytes).buffer);
      const isWhole = audio.length === packets * PACKET_SAMPLES;
      const from = overlap * PACKET_SAMPLES;
      return {
        channelData: Array.from({ length: audio.numberOfChannels }, (_, c) => audio.getChannelData(c).slice(from)),
        samplesDecoded: Math.max(0, audio.length - from),
        sampleRate: audio.sampleRate,
        errors: isWhole ? [] : [{ message: `${audio.length} samples of ${packets} packets` }],
      };
    },
    free: () => undefined,
  };
}

interface AacSetup {
  readonly sampleRate: number;
  readonly channels: number;
  /** Index into AAC's table of rates. */
  readonly rateIndex: number;
}

const RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];
const ENTRY = 28;

/** Parses the box `stsd`; gives a description if it is not AAC-LC of one or two channels and 1024 samples a packet. */
function aacSetup(stsd: Uint8Array): AacSetup | string {
  const entry = firstBox(stsd.subarray(8), () => true);
  if (entry?.type !== 'mp4a') return `"${entry?.type ?? 'nothing'}"`;
  const esds = boxAt(entry.body.subarray(ENTRY), 'esds');
  const config = esds && decoderConfig(esds.subarray(4));
  if (!config || config.length < 2) return 'AAC without its description';
  return parseConfig(config);
}

/** @see https://www.iso.org/standard/76383.html ISO/IEC 14496-3, 1.6.2.1 */
function parseConfig(config: Uint8Array): AacSetup | string {
  const [a, b] = [config[0]!, config[1]!];
  if (a >> 3 !== 2) return `AAC of type ${a >> 3}`;
  // HE-AAC's doubled rate may be announced at the end.
  if (config[2] === 0x56 && config[3] === 0xe5 && ((config[4] ?? 0) & 0x80) !== 0) return 'HE-AAC';
  if ((b & 4) !== 0) return 'AAC of 960 samples a packet';
  const rateIndex = ((a & 7) << 1) | (b >> 7);
  const sampleRate = RATES[rateIndex];
  const channels = (b >> 3) & 15;
  if (sampleRate === undefined || channels < 1 || channels > 2) return `AAC of channel layout ${channels}`;
  return { sampleRate, channels, rateIndex };
}

/** Finds the AudioSpecificConfig in the descriptors of `esds`. @see ISO/IEC 14496-1, 7.2.6 */
function decoderConfig(bytes: Uint8Array): Uint8Array | undefined {
  const stream = descriptor(bytes, 3);
  if (!stream || stream.length < 3) return undefined;
  const flags = stream[2]!;
  // Three optional fields may precede the next descriptor; MP4 never has the last two.
  const decoder = (flags & 0x60) === 0 ? descriptor(stream.subarray(flags & 0x80 ? 5 : 3), 4) : undefined;
  return decoder && descriptor(decoder.subarray(13), 5);
}

/** Body of the descriptor at the beginning of `bytes`, if it has this tag. */
function descriptor(bytes: Uint8Array, tag: number): Uint8Array | undefined {
  if (bytes.length < 2 || viewOf(bytes).getUint8(0) !== tag) return undefined;
  let [length, at] = [0, 1];
  // 7 bits a byte, at most four bytes; the highest bit announces another.
  for (let more = true; more && at <= 4 && at < bytes.length; at++) {
    length = length * 128 + (bytes[at]! & 0x7f);
    more = (bytes[at]! & 0x80) !== 0;
  }
  return bytes.subarray(at, at + length);
}

const PACKET_SAMPLES = 1024;
/** Most bytes held in memory (ten hours of speech): the tables are often at the end, so the file is read as a whole. */
const MOST_BYTES = 2 ** 28;

/** The first sound track. */
export interface AacTrack extends AacSetup {
  readonly packets: readonly Uint8Array[];
  /** Samples of encoder padding before the recording. */
  readonly before: number;
  readonly frames: number;
}

/** Reads the first sound track. @throws OnnxLoraError `DATA_INVALID` for invalid or too large files, or no AAC-LC */
async function aacTrack(bytes: ByteCursor): Promise<AacTrack> {
  const file = await bytes.take(MOST_BYTES + 1);
  if (file.length > MOST_BYTES) {
    throw audioInvalid(bytes, `is larger than ${MOST_BYTES} bytes, and MP4 is read whole. Cut it into pieces.`);
  }
  const moov = boxAt(file, 'moov');
  if (!moov) throw audioInvalid(bytes, `is damaged or cut short: it has no table of what is in it. ${DAMAGED}`);
  const track = firstBox(moov, ({ type, body }) => type === 'trak' && isAudioTrack(body))?.body;
  const stbl = track && boxAt(track, 'mdia', 'minf', 'stbl');
  if (!track || !stbl) throw audioInvalid(bytes, 'is an MP4 file without sound. Check that it is the right one.');
  const setup = aacSetup(boxAt(stbl, 'stsd') ?? new Uint8Array(0));
  if (typeof setup === 'string' || boxAt(moov, 'mvex')) {
    const what = typeof setup === 'string' ? setup : 'fragments';
    throw audioInvalid(
      bytes,
      `is an MP4 file of ${what}; read is AAC-LC of one or two channels in one piece. Convert it, for example with "ffmpeg -i INPUT OUTPUT.wav".`,
    );
  }
  try {
    const packets = packetPlaces(stbl, file.length).map(([at, length]) => file.subarray(at, at + length));
    return { ...setup, packets, ...extent(moov, track, stbl, setup.sampleRate, packets.length) };
  } catch (cause) {
    // RangeErrors come from contradictory or truncated tables.
    if (!(cause instanceof RangeError)) throw cause;
    throw audioInvalid(bytes, `is damaged or cut short: ${cause.message}. ${DAMAGED}`, cause);
  }
}

function isAudioTrack(track: Uint8Array): boolean {
  const handler = boxAt(track, 'mdia', 'hdlr');
  return handler !== undefined && Buffer.from(handler.subarray(8, 12)).toString('latin1') === 'soun';
}

/** Extent of the recording in the decoded samples. */
function extent(
  moov: Uint8Array,
  track: Uint8Array,
  stbl: Uint8Array,
  sampleRate: number,
  packets: number,
): Pick<AacTrack, 'before' | 'frames'> {
  const { count, duration } = packetTimes(stbl);
  if (count !== packets) throw new RangeError(`it has ${packets} packets, but times of ${count}`);
  const unit = sampleRate / timescale(boxAt(track, 'mdia', 'mdhd'));
  const edit = onlyEdit(boxAt(track, 'edts', 'elst'));
  const before = Math.round((edit?.start ?? 0) * unit);
  const rest = Math.round(duration * unit) - before;
  // Edits are in coarser units, often milliseconds: they count only beyond that tolerance.
  const coarse = sampleRate / timescale(boxAt(moov, 'mvhd'));
  const edited = (edit?.duration || Infinity) * coarse;
  const frames = Math.abs(edited - rest) <= coarse ? rest : Math.min(rest, Math.round(edited));
  if (frames < 0 || before + frames > packets * PACKET_SAMPLES) {
    throw new RangeError(`${before + frames} samples are announced in ${packets} packets`);
  }
  return { before, frames };
}

function timescale(header: Uint8Array | undefined): number {
  if (!header) throw new RangeError('a header is missing');
  // Version 1 has 64-bit times before it.
  const units = viewOf(header).getUint32(header[0] === 1 ? 20 : 12);
  if (units === 0) throw new RangeError('a second has no units');
  return units;
}

/** The only edit: start in units of the track, length in units of the movie; undefined unless there is exactly one. */
function onlyEdit(elst: Uint8Array | undefined): { start: number; duration: number } | undefined {
  if (!elst) return undefined;
  const view = viewOf(elst);
  if (view.getUint32(4) !== 1) return undefined;
  const isWide = elst[0] === 1;
  const start = isWide ? Number(view.getBigInt64(16)) : view.getInt32(12);
  const duration = isWide ? Number(view.getBigUint64(8)) : view.getUint32(8);
  return start < 0 ? undefined : { start, duration };
}

/** @file Writes WAV files. */

const HEADER = 44;

/**
 * The bytes of a mono WAV file of 16 bits, as players everywhere take it. What lies beyond [-1, 1] is clipped.
 *
 * @param samples one channel, `[samples]`
 */
export function toWave(samples: Float32Array, sampleRate: number): Uint8Array {
  const bytes = waveHeader({ code: 1, channels: 1, sampleRate, bits: 16, length: samples.length * 2 });
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < samples.length; i++) {
    view.setInt16(HEADER + 2 * i, Math.max(-32768, Math.min(32767, Math.round(samples[i]! * 32768))), true);
  }
  return bytes;
}

/** What the plainest header of a WAV file says. */
export interface WaveHeaderFields {
  readonly code: number;
  readonly channels: number;
  readonly sampleRate: number;
  readonly bits: number;
  /** Bytes of samples. */
  readonly length: number;
}

/** A header of 44 bytes, with `length` zeros after it for the samples. */
export function waveHeader({ code, channels, sampleRate, bits, length }: WaveHeaderFields): Uint8Array<ArrayBuffer> {
  const frame = (channels * bits) / 8;
  const bytes = new Uint8Array(HEADER + length);
  const view = new DataView(bytes.buffer);
  const ascii = (offset: number, text: string): void => {
    bytes.set(Buffer.from(text, 'latin1'), offset);
  };
  ascii(0, 'RIFF');
  view.setUint32(4, HEADER - 8 + length, true);
  ascii(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, code, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * frame, true);
  view.setUint16(32, frame, true);
  view.setUint16(34, bits, true);
  ascii(36, 'data');
  view.setUint32(40, length, true);
  return bytes;
}

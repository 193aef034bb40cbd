/** @file The port through which sound comes in, and the mix to one channel. */

/** Decoded sound: a rate in Hz and one array of samples in [-1, 1] per channel, all equally long. */
export interface Audio {
  readonly sampleRate: number;
  readonly channels: readonly Float32Array[];
}

/** Reads and decodes one file. Bind another one to `AUDIO_READER` to read formats other than WAV. */
export interface AudioReader {
  /**
   * The whole file, decoded.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID`, naming the file and the remedy
   */
  read(file: string): Promise<Audio>;
}

/** Mixes to mono, the mean of the channels `[samples]`. With `frames`, only that many from the beginning. */
export function toMono(audio: Audio, frames: number = Infinity): Float32Array {
  const channels = audio.channels.map((channel) => channel.subarray(0, Math.min(frames, channel.length)));
  const [first] = channels;
  if (!first) return new Float32Array(0);
  if (channels.length === 1) return first;
  return first.map((_, i) => channels.reduce((sum, channel) => sum + channel[i]!, 0) / channels.length);
}

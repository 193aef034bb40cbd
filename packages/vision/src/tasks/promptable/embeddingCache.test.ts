import { float32 } from '@onnx-lora/sdk';
import { expect, test } from 'vitest';
import { EmbeddingCache } from './samPredictor.ts';

const kilobyte = () => ({ image_embeddings: float32(new Float32Array(256), [256]) });

test('what was not used for longest goes first, and what is too large is not held', () => {
  const cache = new EmbeddingCache(3 * 1024);
  const [a, b, c] = [kilobyte(), kilobyte(), kilobyte()];
  cache.set('a', a);
  cache.set('b', b);
  cache.set('c', c);
  expect(cache.get('a')).toBe(a);
  cache.set('d', kilobyte());
  expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([a, undefined, c]);
  cache.set('large', { x: float32(new Float32Array(1024), [1024]) });
  expect(cache.get('large')).toBeUndefined();
  // Set again, a key counts once.
  cache.set('c', c);
  expect(cache.get('a')).toBe(a);
  cache.clear();
  expect(cache.get('a')).toBeUndefined();
});

import { describe, expect, test } from 'vitest';
import { prefixChange } from './modulePrefix.ts';

const whole = ['model.encoder.layers.0.fc1', 'model.decoder.layers.0.fc1', 'model.decoder.layers.0.cross.fc1'];

describe('prefixChange', () => {
  test('names that fit stay', () => {
    expect(prefixChange(['a.fc1', 'gone.fc2'], ['a.fc1', 'fc2'], 'model.onnx')).toEqual({ inAdapter: '', inGraph: '' });
  });

  test('a part of the model, told by the file', () => {
    const paths = ['layers.0.fc1'];
    expect(prefixChange(whole, paths, 'onnx/encoder_model.onnx').inAdapter).toBe('model.encoder.');
    expect(prefixChange(whole, paths, 'onnx/decoder_model.onnx').inAdapter).toBe('model.decoder.');
  });

  test('a part of the model, told by how much fits', () => {
    expect(prefixChange(whole, ['layers.0.fc1', 'layers.0.cross.fc1'], 'model.onnx').inAdapter).toBe('model.decoder.');
  });

  test('what cannot be told is an error', () => {
    expect(() => prefixChange(whole, ['layers.0.fc1'], 'model.onnx')).toThrow(
      '"model.encoder" and "model.decoder" fit equally well',
    );
  });

  test('names longer than any path are left alone', () => {
    const long = 'a.'.repeat(10_000);
    expect(
      prefixChange(
        Array.from({ length: 300 }, (_, i) => `${long}${i}`),
        ['b.c'],
        'model.onnx',
      ),
    ).toEqual({
      inAdapter: '',
      inGraph: '',
    });
  });

  test("a graph that has the adapter's model as a part", () => {
    expect(prefixChange(['encoder.fc1'], ['bert.encoder.fc1', 'classifier'], 'model.onnx')).toEqual({
      inAdapter: '',
      inGraph: 'bert.',
    });
  });

  test('wrappers of PEFT are no part of a name; nothing in common changes nothing', () => {
    expect(prefixChange(['m.attn.base_layer.out_proj'], ['attn.out_proj'], 'x.onnx').inAdapter).toBe('m.');
    expect(prefixChange(['a.b'], ['c.d'], 'x.onnx')).toEqual({ inAdapter: '', inGraph: '' });
  });
});

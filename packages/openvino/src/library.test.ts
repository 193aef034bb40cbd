import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { findLibrary } from './library.ts';

/** A home with these empty files. */
function homeWith(...files: readonly string[]): string {
  const home = mkdtempSync(path.join(tmpdir(), 'onnx-lora-openvino-'));
  onTestFinished(() => rmSync(home, { recursive: true }));
  for (const file of files) {
    mkdirSync(path.join(home, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(home, file), '');
  }
  return home;
}

it('is the newest of the folder that the variable names, or the file itself', () => {
  const home = homeWith('libopenvino_c.so.2620', 'libopenvino_c.so.2641', 'libopenvino.so.2641');
  const newest = path.join(home, 'libopenvino_c.so.2641');
  for (const named of [home, newest])
    expect(findLibrary({ env: { ONNX_LORA_OPENVINO: named }, platform: 'linux', home })).toBe(newest);
});

it.each([
  ['linux', 'lib/python3.12/site-packages/openvino/libs/libopenvino_c.so.2641'],
  ['darwin', 'lib/python3.12/site-packages/openvino/libs/libopenvino_c.2641.dylib'],
  ['win32', 'Lib/site-packages/openvino/libs/openvino_c.dll'],
])('is that of the wheel in the virtual environment, on %s', (platform, file) => {
  const home = homeWith(file);
  expect(findLibrary({ env: { VIRTUAL_ENV: home }, platform, home: '/nowhere' })).toBe(path.join(home, file));
});

it('is that of the wheel of the user', () => {
  const file = '.local/lib/python3.13/site-packages/openvino/libs/libopenvino_c.so.2641';
  const home = homeWith(file);
  expect(findLibrary({ env: {}, platform: 'linux', home })).toBe(path.join(home, file));
});

it('is asked for with the command that installs it', () => {
  const at = { platform: 'aix', home: '/nowhere' };
  expect(() => findLibrary({ ...at, env: {} })).toThrow(
    'OpenVINO is not found on this machine. Install it ("python3 -m pip install openvino"',
  );
  expect(() => findLibrary({ ...at, env: { ONNX_LORA_OPENVINO: '/nowhere/lib' } })).toThrow(
    'ONNX_LORA_OPENVINO names "/nowhere/lib", where there is no libopenvino_c.so. Correct it, or take it away.',
  );
});

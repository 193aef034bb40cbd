/** @file Defaults follow from the folder and from each other; what cannot be used is refused by name. */

import { expect, test } from 'vitest';
import { completeAnswers } from './answers.ts';

test('all follows from the folder', () => {
  expect(completeAnswers({}, 'plugins/onnx-lora-cells')).toEqual({
    name: 'onnx-lora-cells',
    domain: 'cells',
    family: 'cells-net',
    kind: 'regression',
    task: 'cells-regression',
    description: 'Adapters for models of cells.',
    author: 'The authors of onnx-lora-cells',
    license: 'Apache-2.0',
  });
});

test('later defaults follow from what is given', () => {
  expect(completeAnswers({ name: '@acme/onnx-lora-mass_spectra', task: 'peaks' }, 'x')).toMatchObject({
    name: '@acme/onnx-lora-mass_spectra',
    domain: 'mass-spectra',
    family: 'mass-spectra-net',
    task: 'peaks',
  });
});

test('the name of the task follows from its kind', () => {
  expect(completeAnswers({ kind: 'classification' }, 'onnx-lora-cells').task).toBe('cells-classification');
});

test.each([
  ['onnx-lora-', 'samples'],
  ['42', 'samples'],
  ['3d-shapes', 'd-shapes'],
])('a package called %s has the domain %s', (name, domain) => {
  expect(completeAnswers({ name }, 'x').domain).toBe(domain);
});

test.each([
  [{ name: 'Cells' }, 'The name "Cells" cannot be used: npm refuses it: name can no longer contain capital letters.'],
  [{ name: '../cells' }, 'The name "../cells" cannot be used: npm refuses it:'],
  [{ name: 'node_modules' }, 'The name "node_modules" cannot be used: npm refuses it:'],
  [{ family: 'Cell Net' }, 'The family "Cell Net" cannot be used: it must consist of lowercase letters'],
  [{ task: "x'; process.exit()" }, 'cannot be used: it must consist of lowercase letters'],
  [{ domain: '' }, 'The domain "" cannot be used'],
  [{ description: 'two\nlines' }, 'cannot be used: it must be one line'],
  [{ author: '{{name}}' }, 'cannot be used: it must be one line'],
  [{ kind: 'ranking' }, 'The kind "ranking" cannot be used: it is none of regression, classification. Give --kind.'],
  [{ license: 'GPL' }, 'The license "GPL" cannot be used: it is none of Apache-2.0, MIT, UNLICENSED. Give --license.'],
])('%o is refused', (given, message) => {
  expect(() => completeAnswers(given, 'cells')).toThrow(message);
});

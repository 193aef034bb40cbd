/** @file Completion in zsh. */

import type { Completable, CompletedFlag, Completions } from './completable.ts';

/** The completion script for zsh: sourced, or as the file _onnx-lora in fpath. */
export function zshScript({ flags, commands }: Completable): string {
  const names = commands.map(({ name, description }) => quoted(`${name}:${description.replaceAll(':', '\\:')}`));
  const cases = commands.map(({ name, flags: own, words }) => {
    const specs = [...own.flatMap(flagSpecs), ...(words === 'none' ? [] : [quoted(`*:word:${action(words)}`)])];
    return `        ${name}) _arguments ${specs.join(' ')} ;;`;
  });
  return `#compdef onnx-lora
# Completes onnx-lora in zsh. In ~/.zshrc, after compinit: source <(onnx-lora completion zsh)
_onnx_lora() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C ${flags.flatMap(flagSpecs).join(' ')} '1:command:->command' '*::word:->words'
  case $state in
    command)
      local -a commands=(${names.join(' ')})
      _describe command commands ;;
    words)
      case $words[1] in
${cases.join('\n')}
      esac ;;
  esac
}
if [ "$funcstack[1]" = _onnx_lora ]; then _onnx_lora "$@"; else compdef _onnx_lora onnx-lora; fi`;
}

/** A spec per spelling; giving one excludes the others. */
function flagSpecs({ short, long, description, value, repeatable }: CompletedFlag): string[] {
  const spellings = short === undefined ? [long] : [short, long];
  const what = description.replaceAll(/[[\]]/g, String.raw`\$&`);
  const after = value ? `:${value.name.replaceAll(':', '\\:')}:${action(value.completions)}` : '';
  return spellings.map((flag) => {
    const before = repeatable ? '*' : `(${spellings.join(' ')})`;
    return quoted(`${before}${flag}${value && flag === long ? '=' : ''}[${what}]${after}`);
  });
}

function action(completions: Completions): string {
  if (completions === 'files') return '_files';
  return completions === 'none' ? ' ' : `(${completions.join(' ')})`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

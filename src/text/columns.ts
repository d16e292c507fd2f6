/**
 * Characters that take two columns of a terminal: those whose East Asian Width is Wide or Fullwidth, and those that
 * are shown as emoji. Regular expressions have no property for East Asian Width, so the ranges are listed.
 */
const WIDE =
  /[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18dff}\u{1aff0}-\u{1b2ff}\u{1f1e6}-\u{1f2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** Marks that are drawn over the character before them, and the vowels and finals of decomposed Hangul. */
const ZERO_WIDTH = /[\p{Mn}\p{Me}\u1160-\u11ff\ud7b0-\ud7fb]/u;

/** The variation selector that turns the character before it into an emoji. The emoji takes two columns. */
const EMOJI_SELECTOR = '\ufe0f';

/** Made for the first text that is cut, because making it takes 8 ms. */
let graphemes: Intl.Segmenter | undefined;

/**
 * Returns how many columns of a terminal the text takes. `printable` (printable.ts) must have escaped the control
 * characters of the text. Terminals differ in the width of sequences of several emoji. This function returns the
 * largest width, so a text that fits by this width fits on every terminal.
 */
export function terminalColumns(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (character === EMOJI_SELECTOR) columns += 1;
    else if (!ZERO_WIDTH.test(character)) columns += WIDE.test(character) ? 2 : 1;
  }
  return columns;
}

/** Shortens a text that takes more than `columns`. It cuts between characters as people see them, and adds `…`. */
export function fitColumns(text: string, columns: number): string {
  if (terminalColumns(text) <= columns) return text;
  let [fitting, used] = ['', 0];
  graphemes ??= new Intl.Segmenter();
  for (const { segment } of graphemes.segment(text)) {
    used += terminalColumns(segment);
    if (used > columns - 1) break;
    fitting += segment;
  }
  return columns > 0 ? `${fitting}…` : '';
}

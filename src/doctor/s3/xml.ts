/** The contents of all elements with this name. Answers of S3 have no attributes, except in their root. */
export function inXml(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([\\s\\S]*?)</${name}>`, 'g'))].map(
    ([, content = '']) => content,
  );
}

/** The texts of all elements with this name, without the quotes that S3 puts around an ETag. */
export function textsIn(xml: string, name: string): string[] {
  return inXml(xml, name).map((text) => text.replaceAll('&quot;', '').replaceAll('"', '').trim());
}

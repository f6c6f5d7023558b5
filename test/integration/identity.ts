/** An identity provider for tests: keys in a JWKS file, and tokens signed with them. */
import { writeFile } from "node:fs/promises";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";

export const ISSUER = "https://id.example.com";
export const AUDIENCE = "millrace";

export class Identity {
  readonly #key: CryptoKey;

  private constructor(key: CryptoKey) {
    this.#key = key;
  }

  /** Writes the public key to a file. */
  static async create(jwksFile: string): Promise<Identity> {
    const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
    await writeFile(
      jwksFile,
      JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "test", alg: "ES256" }] }),
    );
    return new Identity(privateKey);
  }

  /** Settings of a broker that takes these tokens. */
  static settings(jwksFile: string) {
    return { jwtIssuer: ISSUER, jwtAudience: AUDIENCE, jwtJwksFile: jwksFile };
  }

  /** @param inSeconds when it expires; negative for one that has. */
  token(sub: string, roles: readonly string[] = [], inSeconds = 300): Promise<string> {
    const claims: JWTPayload = {
      iss: ISSUER,
      aud: AUDIENCE,
      sub,
      roles,
      exp: Math.floor(Date.now() / 1000) + inSeconds,
    };
    return new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "test" }).sign(this.#key);
  }
}

// Command celcost prints what the API server estimates the rules of a CustomResourceDefinition to cost at worst, and its
// limits, as JSON. The definition is read from standard input. The API server itself tells only what exceeds them.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

type ruleCost struct {
	Path string `json:"path"`
	Rule string `json:"rule"`
	// Of one check times the most places where the field can stand.
	Cost uint64 `json:"cost"`
	// Of the expression that makes the message, counted as the API server counts it: once.
	MessageCost uint64 `json:"messageCost"`
}

type report struct {
	RuleLimit  uint64     `json:"ruleLimit"`
	TotalLimit uint64     `json:"totalLimit"`
	Rules      []ruleCost `json:"rules"`
}

func main() {
	log.SetFlags(0)
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	found := report{RuleLimit: validation.StaticEstimatedCostLimit, TotalLimit: validation.StaticEstimatedCRDCostLimit}
	schemas, err := schemasOf(text)
	if err != nil {
		log.Fatal(err)
	}
	for version, schema := range schemas {
		costs, err := costsOf(schema, version, validation.RootCELContext(schema))
		if err != nil {
			log.Fatal(err)
		}
		found.Rules = append(found.Rules, costs...)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}

func schemasOf(text []byte) (map[string]*apiextensions.JSONSchemaProps, error) {
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, definition); err != nil {
		return nil, err
	}
	schemas := map[string]*apiextensions.JSONSchemaProps{}
	for _, version := range definition.Spec.Versions {
		schema := &apiextensions.JSONSchemaProps{}
		err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, schema, nil)
		if err != nil {
			return nil, err
		}
		schemas[version.Name] = schema
	}
	return schemas, nil
}

func costsOf(schema *apiextensions.JSONSchemaProps, path string, context *validation.CELSchemaContext) ([]ruleCost, error) {
	costs, err := costsHere(schema, path, context)
	if err != nil {
		return nil, err
	}
	add := func(child *apiextensions.JSONSchemaProps, path string, context *validation.CELSchemaContext) error {
		more, err := costsOf(child, path, context)
		costs = append(costs, more...)
		return err
	}
	for name, child := range schema.Properties {
		if err := add(&child, path+"."+name, context.ChildPropertyContext(&child, name)); err != nil {
			return nil, err
		}
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		if err := add(schema.Items.Schema, path+"[]", context.ChildItemsContext(schema.Items.Schema)); err != nil {
			return nil, err
		}
	}
	return costs, nil
}

func costsHere(schema *apiextensions.JSONSchemaProps, path string, context *validation.CELSchemaContext) ([]ruleCost, error) {
	if len(schema.XValidations) == 0 {
		return nil, nil
	}
	typeInfo, err := context.TypeInfo()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	environments := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion(), true)
	compiled, err := cel.Compile(typeInfo.Schema, typeInfo.DeclType, celconfig.PerCallLimit, environments, cel.NewExpressionsEnvLoader())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var costs []ruleCost
	for i, result := range compiled {
		if result.Error != nil {
			return nil, fmt.Errorf("%s: %v", path, result.Error)
		}
		// As the API server does in getExpressionCost, where a list without maxItems has a cardinality of its own.
		cardinality := result.MaxCardinality
		if context.MaxCardinality != nil {
			cardinality = *context.MaxCardinality
		}
		costs = append(costs, ruleCost{
			Path: path, Rule: schema.XValidations[i].Rule, Cost: result.MaxCost * cardinality, MessageCost: result.MessageExpressionMaxCost,
		})
	}
	return costs, nil
}
